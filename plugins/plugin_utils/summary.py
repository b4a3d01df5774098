# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of many accounts, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import DENIED

OWNER = "needs its owner"
FAILED = "failed"


@dataclass(frozen=True)
class Words:
    """How a play calls its results: changed, as it was, both in check mode; what its owner does; what comes next."""

    changed: str
    same: str
    would: str
    same_in_check: str
    owner: str
    next: str = ""


WORDS = {
    "onboard": Words("done", "already done", "would be set up", "nothing to do",
                     owner="hpc-jupyter onboard {account}", next="Next: hpc-jupyter launch {account}"),
    "offboard": Words("removed", "nothing to remove", "would be removed", "nothing to remove",
                      owner="ansible-playbook hpc.jupyter.offboard -l {account} --ask-pass"),
    "rotate": Words("renewed", "nothing to renew", "would be renewed", "nothing to renew",
                    owner="ansible-playbook hpc.jupyter.rotate -l {account} --ask-pass"),
}  # fmt: skip


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which the cells of ``rows``, as many in each, stand below each other."""
    widths = [max(map(len, cells)) for cells in zip(*rows)]  # noqa: B905
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]  # noqa: B905


def summary(
    accounts: Sequence[str], rows: Sequence[Mapping[str, Any]], changed: Sequence[bool], play: str, *,
    check: bool = False,
) -> list[str]:
    """A line an account, what there is to be said of some, how many there are of each kind, and what comes next.

    A row has ``done``, where it is done, and ``notes``; or ``task``, ``message`` and ``kind`` of what failed; or
    nothing where the connection was lost.
    """
    words = WORDS[play]
    table = [_cells(*each, words=words, check=check) for each in zip(accounts, rows, changed)]  # noqa: B905
    several = len(accounts) > 1
    after = words.next.format(account="ACCOUNT" if several else accounts[0]) if accounts else ""
    told = [after] if after and any("done" in row for row in rows) else []
    counted = [_counted(table)] if several else []
    return [*columns(table), *_notes(accounts, rows), *counted, *told]


def _cells(account: str, row: Mapping[str, Any], changed: bool, *, words: Words, check: bool) -> tuple[str, str, str]:
    if "done" in row:
        same, other = (words.same_in_check, words.would) if check else (words.same, words.changed)
        return account, other if changed else same, str(row["done"])
    message = str(row.get("message") or "the connection was lost; run it again").strip()
    message = message.removeprefix(f"{account.rpartition('@')[2]}: ")
    if row.get("kind") == DENIED:
        return account, OWNER, f"send them: {words.owner.format(account=account)} ({message.partition('. ')[0]})"
    task = str(row.get("task") or "")
    return account, FAILED, message if task in ("", "Connect") else f"{task}: {message}"


def _notes(accounts: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What holds for several accounts is said once; what holds for one of several, with its name."""
    owners: dict[str, list[str]] = {}
    for account, row in zip(accounts, rows):  # noqa: B905
        for note in row.get("notes", ()):
            owners.setdefault(str(note), []).append(account)
    return [f"{names[0]}: {note}" if len(names) == 1 < len(accounts) else note for note, names in owners.items()]


def _counted(table: Sequence[Sequence[str]]) -> str:
    counts = Counter(result for _account, result, _what in table)
    return f"{len(table)} accounts: " + ", ".join(f"{count} {result}" for result, count in counts.items())

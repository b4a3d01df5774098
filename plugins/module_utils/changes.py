# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module would change: decided as a list, then carried out, or only shown."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import Callable, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private


@dataclass(frozen=True)
class Change:
    """One path and what it would be: texts for the diff, empty where there is nothing; ``make`` carries it out."""

    path: str
    before: str
    after: str
    make: Callable[[], None] = field(compare=False, repr=False)


def directory(path: str) -> list[Change]:
    """What makes ``path`` a directory that only the account can enter."""
    before = f"directory {mode(path)}".rstrip() if os.path.exists(path) else ""
    after = "directory 0700"
    return [] if before == after else [Change(path, before, after, lambda: make_private_directory(path))]


def file(path: str, content: str, *, bits: int = 0o600, secret: bool = False) -> list[Change]:
    """What makes ``path`` a file with ``content``; of a ``secret`` one the diff shows only that it differs."""
    before, found, wanted = _read(path), mode(path), f"{bits:04o}"
    if before == content.encode() and found == wanted:
        return []
    texts = text(path), content
    if texts[0] == texts[1]:
        texts = f"mode {found}\n", f"mode {wanted}\n"
    elif secret:
        texts = "(not shown)\n" if texts[0] else "", "(not shown, and another one)\n"
    return [Change(path, *texts, lambda: write_private(path, content.encode(), mode=bits))]


def apply(changes: Sequence[Change]) -> None:
    """Carry them out, in this order."""
    for change in changes:
        change.make()


def diff(changes: Sequence[Change]) -> list[dict[str, str]]:
    """As Ansible shows them."""
    return [
        {"before_header": each.path, "after_header": each.path, "before": each.before, "after": each.after}
        for each in changes
    ]


def text(path: str) -> str:
    """What the file at ``path`` holds; empty if there is none."""
    return (_read(path) or b"").decode("utf-8", "replace")


def mode(path: str) -> str:
    """Its permissions, as four octal digits; empty if there is nothing."""
    try:
        return f"{stat.S_IMODE(os.stat(path).st_mode):04o}"
    except FileNotFoundError:
        return ""


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None

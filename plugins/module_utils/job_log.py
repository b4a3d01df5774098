# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a session's log as a person can use it: without what alarms or misleads and means nothing.

Before it says that a session is ready, the supervisor asks the new server for what it must refuse. Jupyter logs each
refusal as a warning. Nobody else knows the server's address by then, so what it logs until it is ready is our own.
"""

from __future__ import annotations

import re
from typing import Iterator, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.files import read_tail

SUPERVISOR = "hpc-jupyter: "
"""What the supervisor's own lines begin with."""

_READS_MORE = 4
_BEGINS = re.compile(r"\[I [^]]*\] Jupyter Server \S+ is running at:")
_READY = re.compile(rf"{SUPERVISOR}(?:session \S+ is ready on |asked for \w+: done)")
_REFUSAL = re.compile(r"\[W [^]]*\] (?:\d{3} [A-Z]+ /|wrote error: |Blocking )")
_MEANINGLESS = re.compile(
    r"\[I [^]]*\] (?:Jupyter Server \S+ is running at:| *https?(?:\+unix)?://|Use Control-C to stop|"
    r"Skipped non-installed server)"
)
"""The address is that of the node and leads nowhere from outside; Control-C reaches nobody."""
_WARNS = re.compile(r".*: JupyterServerAuthWarning: ")
_WARNED = re.compile(r"- (?:[A-Z]+) of \S+ registered for |  \S+\(.*\)?$|  \S+\.add_handlers\(")
"""The lines after a warning of Python: which handlers, and the line of source."""


def tail(path: str, *, lines: int) -> list[str]:
    """The last ``lines`` lines of the log at ``path`` that say something."""
    return told(read_tail(path, lines=lines * _READS_MORE))[-lines:] if lines > 0 else []


def told(lines: Sequence[str]) -> list[str]:
    """``lines`` without what means nothing."""
    refused = set(_refusals(lines))
    warned = set(_warnings(lines))
    return [
        line for number, line in enumerate(lines)
        if number not in refused and number not in warned and not _MEANINGLESS.match(line)
    ]


def _refusals(lines: Sequence[str]) -> Iterator[int]:
    """The refusals between the start of a server and its being ready; one that never was ready keeps its own."""
    since: list[int] = []
    starts = True
    for number, line in enumerate(lines):
        if _BEGINS.match(line) or _READY.match(line):
            if starts and _READY.match(line):
                yield from since
            since, starts = [], not _READY.match(line)
        elif _REFUSAL.match(line):
            since.append(number)


def _warnings(lines: Sequence[str]) -> Iterator[int]:
    inside = False
    for number, line in enumerate(lines):
        inside = bool(_WARNS.match(line)) or (inside and bool(_WARNED.match(line)))
        if inside:
            yield number

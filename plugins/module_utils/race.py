# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that were submitted to several clusters for whichever starts first.

The record of each carries the race's id until somebody comes for the session: from then on it is like any other. One
for which nobody comes ends by itself, for whoever submitted it may never be heard of again.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import replace

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record

UNCLAIMED = "unclaimed"
UNCLAIMED_SECONDS = 900
"""How long a session of a race waits for somebody to come."""
_ID = re.compile(r"[0-9a-f]{16}")


def check(value: object) -> str:
    """A race's id, empty for none; raises ``BadInput``."""
    text = str(value or "")
    if text and _ID.fullmatch(text) is None:
        raise BadInput("race", f"{text!r} is not a race's id", hint="It is 16 hexadecimal digits")
    return text


def claim(files: SessionFiles, record: Record) -> Record:
    """Somebody has come for the session: it is no race's any more.

    A disk that is full keeps nobody out; that the session is used is seen then by the supervisor itself.
    """
    if not record.race:
        return record

    def change(latest: Record | None) -> Record | None:
        return replace(latest, race="") if latest is not None and latest.race == record.race else None

    with contextlib.suppress(HpcJupyterError, OSError):
        rec.update(files.record, change)
    return replace(record, race="")


class Unclaimed:
    """Whether nobody came for a session within ``seconds`` of its being ready; 0 seconds are for ever."""

    def __init__(self, files: SessionFiles, seconds: int) -> None:
        self._files = files
        self._seconds = seconds
        self._since = time.monotonic()

    def begin(self) -> None:
        """The session is ready now."""
        self._since = time.monotonic()

    def use(self, ago: float) -> None:
        """It was used so many seconds ago: whoever did that has come."""
        if ago < time.monotonic() - self._since:
            self._seconds = 0

    def is_over(self) -> bool:
        """Whether to end it. A record that cannot be read now is read the next time."""
        if not self._seconds or time.monotonic() - self._since < self._seconds:
            return False
        try:
            latest = rec.read(self._files.record)
        except (HpcJupyterError, OSError):
            return False
        if latest is not None and not latest.race:
            self._seconds = 0
        return latest is not None and latest.race != ""

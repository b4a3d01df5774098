# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes told apart from later ones with the same id, by when they were started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process: its id, and when it started in whatever unit this system tells it."""

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return bool(self.started) and start_of(self.pid) == self.started

    def end(self, *, seconds: float = 5.0) -> bool:
        """Ask it to end, then make it; whether it is gone."""
        for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 2.0)):
            if not self.is_alive:
                return True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            self._wait(patience)
        return not self.is_alive

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(0.05)


NOBODY = Process(0, "")
"""No process."""


def this_process() -> Process:
    """The process that runs this."""
    return identify(os.getpid())


def identify(pid: int) -> Process:
    """The process that has the id ``pid`` now."""
    return Process(pid, start_of(pid))


def start_of(pid: int) -> str:
    """When the process started; empty if there is none, or only what is left of one."""
    if pid <= 0:
        return ""
    return _from_proc(pid) if Path("/proc/self/stat").exists() else _from_ps(pid)


def _from_proc(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


_PLAIN = {"LC_ALL": "C", "PATH": os.defpath}


def _from_ps(pid: int) -> str:
    argv = ["ps", "-o", "lstart=", "-p", str(pid)]
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, env=_PLAIN)
    return answer.stdout.strip()

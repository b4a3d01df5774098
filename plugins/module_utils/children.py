# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this machine: who descends from whom, and how to end them for certain."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PS_SECONDS = 20


@dataclass(frozen=True)
class Process:
    """One living process; ``command`` is its argument list joined by spaces."""

    pid: int
    parent: int
    uid: int
    command: str


def processes() -> dict[int, Process]:
    """Every process of this machine that is not a zombie, by its id."""
    found = _from_proc() if os.path.exists("/proc/self/stat") else _from_ps()
    return {process.pid: process for process in found}


def process(pid: int) -> Process | None:
    """One process; ``None`` if there is none or it is a zombie."""
    if not os.path.exists("/proc/self/stat"):
        return processes().get(pid)
    try:
        return _read_proc(pid)
    except (OSError, ValueError, IndexError):
        return None


def descendants(pid: int, table: dict[int, Process] | None = None) -> list[int]:
    """The children of ``pid``, their children and so on, nearest first."""
    children: dict[int, list[int]] = {}
    for process in (processes() if table is None else table).values():
        children.setdefault(process.parent, []).append(process.pid)
    found: list[int] = []
    wave = children.get(pid, [])
    while wave:
        found += wave
        wave = [child for parent in wave for child in children.get(parent, []) if child not in found]
    return found


def adopt_orphans() -> bool:
    """Become the parent of orphaned descendants, so that none escapes; ``False`` where that cannot be (not Linux)."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Called in a child: have the kernel send it TERM when its parent is killed (Linux)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(_libc().prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    """Loaded once, by the parent: between fork and exec a child of a threaded program had better not."""
    return ctypes.CDLL(None, use_errno=True)


def end_descendants(pid: int, *, grace_seconds: float, reap: Callable[[], object]) -> list[int]:
    """End everything that descends from ``pid``: TERM, then KILL after the grace; returns what is still there.

    ``reap`` collects children that have ended, which would else stay in the way as zombies.
    """
    deadline = time.monotonic() + grace_seconds
    asked: set[int] = set()
    left = descendants(pid)
    while left and time.monotonic() < deadline:
        send(signal.SIGTERM, [child for child in left if child not in asked])
        asked.update(left)
        time.sleep(0.05)
        reap()
        left = descendants(pid)
    return _kill_descendants(pid, reap=reap) if left else []


def _kill_descendants(pid: int, *, reap: Callable[[], object], deadline_seconds: float = 5) -> list[int]:
    deadline = time.monotonic() + deadline_seconds
    left = descendants(pid)
    while left and time.monotonic() < deadline:
        send(signal.SIGKILL, left)
        time.sleep(0.02)
        reap()
        left = descendants(pid)
    return left


def reap() -> dict[int, int]:
    """Collect every child that has ended: its exit code by its id, a signal's number negative."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return ended


def send(number: int, pids: Iterable[int]) -> None:
    """Send a signal to every process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _from_proc() -> Iterable[Process]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                process = _read_proc(int(name))
                if process is not None:
                    yield process


def _read_proc(pid: int) -> Process | None:
    with open(f"/proc/{pid}/stat", "rb") as stream:
        uid = os.fstat(stream.fileno()).st_uid
        # The second field is the command's name in parentheses, which may itself hold spaces and parentheses.
        state, parent = stream.read().rpartition(b")")[2].split()[:2]
    if state in (b"Z", b"X"):
        return None
    with open(f"/proc/{pid}/cmdline", "rb") as stream:
        command = stream.read().rstrip(b"\0").replace(b"\0", b" ")
    return Process(pid, int(parent), uid, os.fsdecode(command))


def _from_ps() -> Iterable[Process]:
    """For systems without ``/proc``; two ``w`` keep ``ps`` from cutting the command off."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,uid=,stat=,command="],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PS_SECONDS, check=True,
    )
    return parse_ps(os.fsdecode(listed.stdout))


def parse_ps(text: str) -> list[Process]:
    """The processes in what ``ps -o pid=,ppid=,uid=,stat=,command=`` printed, zombies left out."""
    rows = (line.split(None, 4) for line in text.splitlines())
    return [
        Process(int(row[0]), int(row[1]), int(row[2]), row[4] if len(row) > 4 else "")
        for row in rows if len(row) >= 4 and not row[3].startswith("Z")
    ]

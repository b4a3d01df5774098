"""Processes that are known by pid and start time, so that a pid used again is never mistaken; waits with deadlines."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from .errors import LabError

T = TypeVar("T")


@dataclass(frozen=True)
class Process:
    pid: int
    start: int  # clock ticks since boot, field 22 of /proc/PID/stat

    @classmethod
    def of(cls, pid: int) -> Self:
        start = _start(pid)
        if start is None:
            raise LabError(f"process {pid} has ended")
        return cls(pid, start)

    @property
    def alive(self) -> bool:
        return _start(self.pid) == self.start

    def kill(self) -> None:
        """Ends it, if it is still the one that was recorded; the pidfd closes the gap between look and kill."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(handle)

    def only_child(self) -> Self | None:
        """Its one child; None while there is none yet."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except OSError:
            return None
        return self.of(int(children[0])) if children else None


def _start(pid: int) -> int | None:
    """Start time, None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def until(look: Callable[[], T | None], *, what: str, seconds: float = 10.0) -> T:
    """The first truthy answer of `look`, asked again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


def call(argv: Sequence[str], *, text: str | None = None, timeout: float = 20.0) -> str:
    """Runs a command of the machine; its stdout, or a LabError with its stderr."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise LabError(f"{argv[0]}: no answer within {timeout:g} s") from None
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Children of ours: what they print is kept, and goes to our own output without the session's token."""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import threading
from typing import IO, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import children

_KEPT_LINES = 200
_LINE_BYTES = 8192
_QUOTED = 300
_DECISIVE = re.compile(r"^\[[CE] |^\S*(?:Error|Exception|Interrupt)\b|^\S*: (?:error|cannot|No )", re.IGNORECASE)
_waiting: set[int] = set()
_codes: dict[int, int] = {}
"""Children of ours that run, and exit codes that nobody has asked for yet: all are collected at once."""


class LoggedChild:
    """A running child in its parent's process group; it is asked to end when its parent is killed.

    Raises ``OSError`` where it cannot be started, also for want of room for a process or a thread.
    Without ``echo`` its output is kept for ``lines`` alone.
    """

    def __init__(
        self, argv: Sequence[str], *, environment: Mapping[str, str], directory: str, secret: str = "",
        echo: bool = True,
    ) -> None:
        self._secret = secret.encode()
        self._echo = echo
        self._lines: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        self._status: int | None = None
        try:
            self._process = subprocess.Popen(
                list(argv), env=dict(environment), cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                preexec_fn=children.die_with_parent,  # noqa: PLW1509 - one call of a library that is loaded already
            )
        except subprocess.SubprocessError as error:
            raise OSError(errno.EAGAIN, str(error)) from error
        self.pid = self._process.pid
        _waiting.add(self.pid)
        _codes.pop(self.pid, None)  # of an earlier child with the same number, whom nobody asked about
        self._reader = threading.Thread(target=self._copy, args=(self._process.stdout,), daemon=True)
        try:
            self._reader.start()
        except RuntimeError as error:
            with self._process:
                self._process.kill()
            _waiting.discard(self.pid)
            raise OSError(errno.EAGAIN, f"{argv[0]} could not be started: {error}") from error

    def poll(self) -> int | None:
        """The exit code, a signal's number negative, or ``None`` while it runs; collects other dead children too."""
        _codes.update((pid, code) for pid, code in children.reap().items() if pid in _waiting)
        if self.pid in _codes:
            _waiting.discard(self.pid)
            self._process.returncode = self._status = _codes.pop(self.pid)
        return self._status

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            children.send(number, [self.pid])

    def kill(self) -> None:
        """End it now."""
        self.send(signal.SIGKILL)

    def lines(self) -> list[str]:
        """The last lines that it printed; once it has ended, all of them have arrived."""
        if self._status is not None:
            self._reader.join(timeout=1)
        return list(self._lines)

    def _copy(self, stream: IO[bytes]) -> None:
        """Read to the end whatever becomes of our own output: a child that cannot write would hang."""
        for line in iter(lambda: stream.readline(_LINE_BYTES), b""):
            clean = line.replace(self._secret, b"...") if self._secret else line
            self._lines.append(clean.decode("utf-8", "replace").rstrip())
            if self._echo:
                with contextlib.suppress(OSError, ValueError):
                    os.write(sys.stdout.fileno(), clean)
        stream.close()


def decisive(lines: Sequence[str], *, count: int = 3) -> str:
    """The lines that say why a program ended, for a one-line reason: its errors, else its last words."""
    said = [line.strip() for line in lines if line.strip()]
    chosen = [line for line in said if _DECISIVE.search(line)][-count:] or said[-count:]
    return " | ".join(line[:_QUOTED] for line in chosen) or "it printed nothing"

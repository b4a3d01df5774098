# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals as something to wait for: a request to end, or a child that has ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import types


class Signals:
    """TERM, INT, HUP and USR2 ask to end, the last of them as Grid Engine does; USR1 announces it.

    All of them, and a dead child, wake ``wait``.
    """

    def __init__(self) -> None:
        self.stop = 0
        """The first signal that asked to end, 0 as long as there was none."""
        self._readable, writable = os.pipe()
        os.set_blocking(self._readable, False)
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, self._on_stop)
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            # A handler and not SIG_IGN: children would inherit that.
            signal.signal(number, self._on_other)

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the next signal."""
        ready, _writable, _failed = select.select([self._readable], [], [], max(0.0, seconds))
        if ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._readable, 4096)

    def _on_stop(self, number: int, _frame: types.FrameType | None) -> None:
        self.stop = self.stop or number

    def _on_other(self, _number: int, _frame: types.FrameType | None) -> None:
        pass

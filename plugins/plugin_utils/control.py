# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words to a master connection that is there, over its socket; no host is contacted."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Sequence

_SECONDS = 5.0
_ENDS_SECONDS = 2.0


def control(path: str, command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[bytes]:
    """``ssh -O command`` to the master whose socket is at ``path``; raises ``subprocess.TimeoutExpired``."""
    argv = ["ssh", "-F", "none", "-S", path, "-O", command, *options, "--", "master"]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)


def master_pid(path: str) -> int:
    """The process id of the master whose socket is at ``path``; 0 if there is none that answers."""
    if not os.path.exists(path):
        return 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        found = re.search(rb"pid=(\d+)", control(path, "check").stderr)
        return int(found[1]) if found else 0
    return 0


def listens(forwards: Sequence[str]) -> list[str]:
    """``forwards`` as ssh's options."""
    return [word for item in forwards for word in ("-L", item)]


def cancel(path: str, forwards: Sequence[str]) -> bool:
    """Take ``forwards`` off the master whose socket is at ``path``; whether any of them was there."""
    done = [control(path, "cancel", listens([item])) for item in forwards]
    return any(item.returncode == 0 for item in done)


def end_master(path: str) -> None:
    """End a master and wait until it is gone, since the last thing it does is to remove its socket."""
    pid = master_pid(path)
    if not pid:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        control(path, "exit")
    deadline = time.monotonic() + _ENDS_SECONDS
    while _is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True

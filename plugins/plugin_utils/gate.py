# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A play that is started before anybody knows whether it is needed waits here, and contacts nobody until then.

What can be got ready on this machine is got ready before.

The gate is a file that the process which started the play keeps locked. However that process ends, the lock goes with
it; only a gate that was opened has a word in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

VARIABLE = "HPC_JUPYTER_GATE"
"""Tells the play where its gate is; where it is not set there is none."""

_OPEN = b"open"
_KEPT = ".kept"
_AGAIN_SECONDS = 0.02


@contextlib.contextmanager
def closed(path: str) -> Iterator[Callable[[], None]]:
    """Make a gate at ``path``, to be opened by calling what this yields."""
    descriptor = _made(path)
    os.close(_made(path + _KEPT))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

        def open_it() -> None:
            os.write(descriptor, _OPEN)
            fcntl.flock(descriptor, fcntl.LOCK_UN)

        yield open_it
    finally:
        os.close(descriptor)


def _made(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


@contextlib.contextmanager
def kept() -> Iterator[bool]:
    """Keep the directory of the play's gate: whoever started the play does not remove it meanwhile.

    ``False`` where that has happened. A process of the play may outlive it, and what it writes would be left.
    """
    path = os.environ.get(VARIABLE)
    with contextlib.ExitStack() as stack:
        is_kept = True
        if path:
            try:
                stream = stack.enter_context(open(path + _KEPT, "rb"))
                fcntl.flock(stream, fcntl.LOCK_SH)
                is_kept = os.fstat(stream.fileno()).st_nlink > 0
            except FileNotFoundError:
                is_kept = False
        yield is_kept


@contextlib.contextmanager
def let_go(path: str, *, seconds: float) -> Iterator[None]:
    """Wait until nobody has what belongs to the gate at ``path`` ``kept``, for ``seconds`` at the most.

    Until the end of this nobody can keep it anew; who waits to do so learns what has become of it.
    """
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            stream = stack.enter_context(open(path + _KEPT, "rb"))
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_AGAIN_SECONDS)
        yield


def is_there() -> bool:
    """Whether this play has a gate, open or not."""
    return bool(os.environ.get(VARIABLE))


def is_closed() -> bool:
    """Whether this play would have to wait now."""
    path = os.environ.get(VARIABLE)
    if not path:
        return False
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def pass_through() -> None:
    """Wait until the gate is open, if there is one; raises ``HpcJupyterError`` if nobody will open it any more."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        if stream.read() == _OPEN:
            return
    raise HpcJupyterError("the hpc-jupyter that started this play has ended; nothing was done")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that holds on shared file systems: a file made exclusively, with a lease.

Advisory locks do not reach other hosts on every NFS mount; an exclusive create does.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from typing import Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.files import age_seconds

LEASE_SECONDS = 60.0
"""How long a holder may give no sign of life: it gives several within it, however long its work takes."""

_SIGNS = 6
_POLL_SECONDS, _SLOWEST_POLL_SECONDS = 0.02, 0.3


@contextlib.contextmanager
def held(path: str, *, wait_seconds: float, what: str, lease_seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold the lock at ``path``; raises ``Busy`` naming ``what`` and the holder after ``wait_seconds``.

    A holder that is dead, or gives no sign of life for as long as its lease, loses the lock.
    """
    own = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "key": secrets.token_hex(8)})
    deadline, pause = time.monotonic() + wait_seconds, _POLL_SECONDS
    while not _take(path, own):
        holder = _read(path)
        if holder is not None and _is_over(path, holder, lease_seconds=lease_seconds):
            _break(path, holder)
        elif time.monotonic() > deadline:
            raise Busy(f"{what} is being changed by {_name(holder)}; try again when that is done")
        else:
            time.sleep(pause)
            pause = min(_SLOWEST_POLL_SECONDS, pause * 1.3)
    try:
        with _signs_of_life(path, own, every_seconds=lease_seconds / _SIGNS):
            yield
    finally:
        if _read(path) == own:
            _remove(path)


def left_over(path: str, *, lease_seconds: float = LEASE_SECONDS) -> str:
    """Who has left the lock at ``path``, dead or beyond its lease; empty if it is held, or there is none."""
    holder = _read(path)
    return _name(holder) if holder is not None and _is_over(path, holder, lease_seconds=lease_seconds) else ""


def remove_left_over(path: str, *, lease_seconds: float = LEASE_SECONDS) -> bool:
    """Take away a lock that is left over; whether that was done."""
    holder = _read(path)
    if holder is None or not _is_over(path, holder, lease_seconds=lease_seconds):
        return False
    _break(path, holder)
    return True


@contextlib.contextmanager
def _signs_of_life(path: str, own: str, *, every_seconds: float) -> Iterator[None]:
    over = threading.Event()
    signs = threading.Thread(target=_give_signs, args=(path, own, over, every_seconds), daemon=True)
    with contextlib.suppress(RuntimeError):  # where no thread can be started, the lease has to be enough
        signs.start()
    try:
        yield
    finally:
        over.set()
        if signs.ident is not None:
            signs.join()


def _give_signs(path: str, own: str, over: threading.Event, every_seconds: float) -> None:
    while not over.wait(every_seconds):
        with contextlib.suppress(OSError):
            if _read(path) == own:
                os.utime(path)  # without times: by the clock of the file system, by which others judge


def _take(path: str, own: str) -> bool:
    """Make the lock with its content in one step: nobody ever sees it empty."""
    prepared = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(prepared, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(own)
        os.link(prepared, path)
    except FileExistsError:
        return _read(path) == own  # over NFS a link whose answer was lost is tried again, and finds itself
    finally:
        os.unlink(prepared)
    return True


def _is_over(path: str, holder: str, *, lease_seconds: float) -> bool:
    """Whether the holder is known to be dead (same host) or has outlived its lease (any host)."""
    known = _parse(holder)
    pid = known.get("pid")
    if known.get("host") == socket.gethostname() and isinstance(pid, int) and not _is_alive(pid):
        return True
    age = age_seconds(path)
    return age is not None and age > lease_seconds


def _break(path: str, judged: str) -> None:
    """Take away the lock that was judged: of several that try one does, and a fresh lock is put back."""
    aside = f"{path}.{secrets.token_hex(8)}"
    if _read(path) != judged:
        return
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != judged:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    os.unlink(aside)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _name(holder: str | None) -> str:
    known = _parse(holder or "")
    return f"process {known.get('pid', '?')} on {known.get('host', 'another host')}"


def _parse(holder: str) -> dict[str, object]:
    try:
        content = json.loads(holder)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return None


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

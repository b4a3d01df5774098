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
import socket
import time
from typing import Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.files import age_seconds

LEASE_SECONDS = 240
"""Longer than any holder needs: the slowest submit and its look-up by name."""


@contextlib.contextmanager
def held(path: str, *, wait_seconds: float, what: str) -> Iterator[None]:
    """Hold the lock at ``path``; raises ``Busy`` naming ``what`` and the holder after ``wait_seconds``."""
    deadline = time.monotonic() + wait_seconds
    while not _take(path):
        if _is_dead(path):
            _remove(path)
        elif time.monotonic() > deadline:
            raise Busy(f"{what} is being changed by {_holder(path)}; try again when that is done")
        else:
            time.sleep(0.1)
    try:
        yield
    finally:
        _remove(path)


def _take(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, stream)
    return True


def _is_dead(path: str) -> bool:
    """Whether the holder is known to be dead (same host) or has outlived its lease (any host)."""
    holder = _read(path)
    if holder.get("host") == socket.gethostname() and isinstance(holder.get("pid"), int):
        return not _is_alive(int(str(holder["pid"])))
    age = age_seconds(path)
    return age is not None and age > LEASE_SECONDS


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _holder(path: str) -> str:
    holder = _read(path)
    return f"process {holder.get('pid', '?')} on {holder.get('host', 'another host')}"


def _read(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as stream:
            content = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

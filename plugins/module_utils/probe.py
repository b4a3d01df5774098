# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a Jupyter server over its Unix socket or its port, and who listens there."""

from __future__ import annotations

import contextlib
import glob
import json
import os
from dataclasses import dataclass
from typing import Callable, Mapping

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"


@dataclass(frozen=True)
class Target:
    """Where a server listens: a Unix socket, or else a port of ``address``.

    With ``tls_sha256``, the SHA-256 of its certificate in hexadecimal digits, it speaks TLS; no other one is spoken to.
    """

    base_url: str
    socket: str = ""
    port: int = 0
    address: str = LOOPBACK
    tls_sha256: str = ""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; redirects are not followed."""

    status: int
    body: bytes
    cookies: str = ""
    """What a browser would send from now on."""


class OtherCertificate(OSError):
    """Somebody else than the session's server answered."""


class BadAnswer(OSError):
    """What answered does not speak HTTP as a server does; the text names the mistake."""


def get(target: Target, path: str, *, token: str = "", timeout_seconds: float = 5.0) -> Answer:
    """``GET`` a path below the base URL; raises ``OSError`` where nobody answers."""
    return ask(target, "GET", path, token=token, timeout_seconds=timeout_seconds)


def ask(
    target: Target, method: str, path: str, *, token: str = "", headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 5.0,
) -> Answer:
    """The same with any method, and ``headers`` besides; ``Host`` among them replaces our own."""
    said = {**(headers or {}), **({"Authorization": f"token {token}"} if token else {})}
    return load()(target, method, path, headers=said, timeout_seconds=timeout_seconds)


def load() -> Callable[..., Answer]:
    """What asks, which takes long to load: for those who are waiting for the server anyway."""
    from ansible_collections.hpc.jupyter.plugins.module_utils.connection import exchange

    return exchange


def port_from_info(runtime: str) -> int:
    """The port that a server wrote into its private runtime directory; 0 as long as there is none."""
    for path in glob.glob(os.path.join(glob.escape(runtime), "jpserver-*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, "rb") as stream:
            return int(json.loads(stream.read().decode("utf-8"))["port"])
    return 0


def listens(pid: int, port: int) -> bool | None:
    """Whether process ``pid`` itself listens on TCP ``port``; ``None`` where that cannot be seen (not Linux)."""
    if not os.path.exists("/proc/net/tcp"):
        return None
    return bool(_listening_inodes(port) & _socket_inodes(pid))


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(table, encoding="ascii") as stream:
            rows = [line.split() for line in stream][1:]
            inodes.update(row[9] for row in rows if row[3] == _LISTEN and row[1].endswith(f":{port:04X}"))
    return inodes


def _socket_inodes(pid: int) -> set[str]:
    inodes: set[str] = set()
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        with contextlib.suppress(OSError):
            target = os.readlink(path)
            if target.startswith("socket:["):
                inodes.add(target[len("socket:["):-1])
    return inodes

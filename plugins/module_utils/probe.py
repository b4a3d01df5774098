# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a Jupyter server over its Unix socket or its loopback port, and who listens there."""

from __future__ import annotations

import contextlib
import glob
import http.client
import json
import os
import socket
from dataclasses import dataclass

_LISTEN = "0A"


@dataclass(frozen=True)
class Target:
    """Where a server listens: a Unix socket, or else a port of 127.0.0.1."""

    base_url: str
    socket: str = ""
    port: int = 0


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; redirects are not followed."""

    status: int
    body: bytes


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(target: Target, path: str, *, token: str = "", timeout_seconds: float = 5.0) -> Answer:
    """``GET`` a path below the base URL; raises ``OSError`` or ``http.client.HTTPException`` where nobody answers."""
    connection: http.client.HTTPConnection = (
        _UnixConnection(target.socket, timeout=timeout_seconds) if target.socket
        else http.client.HTTPConnection("127.0.0.1", target.port, timeout=timeout_seconds)
    )
    try:
        connection.request("GET", target.base_url + path, headers={"Authorization": f"token {token}"} if token else {})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


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

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a local port reaches a session: record and cluster in, a plain ssh command line and a URL out. Pure."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import page_of

LOOPBACK = "127.0.0.1"
"""Never ``localhost``: that name may lead to another user's listener on ::1."""

_FIRST_PORT = 20000
_PORTS = 10000


@dataclass(frozen=True)
class Way:
    """How ``url`` is reached: ``route`` is ``node`` or ``local``.

    ``forward`` is the ssh argv that listens on ``port``, empty where the session itself does.
    """

    route: str
    port: int
    url: str
    forward: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The forward as a line to type."""
        return shlex.join(self.forward)


def first_port(account: str, session: str) -> int:
    """Where to begin the search for a port: the same for a session every time, below the ephemeral ones."""
    return _FIRST_PORT + zlib.crc32(f"{account}\0{session}".encode()) % _PORTS


def way(record: Mapping[str, Any], *, local: bool, config: str, port: int) -> Way:
    """The way to a session that is ready; ``config`` is the account's ssh_config, ``port`` the local port to use."""
    if local:
        return Way("local", record["port"], _url(record["port"], record))
    if not record["socket"] or not record["node"]:
        raise HpcJupyterError(
            f"session {record['session']} of {record['account']} offers no socket on a node, so there is no way to it: "
            "stop it and launch it again"
        )
    spec = f"{LOOPBACK}:{port}:{record['socket']}"
    # Without ExitOnForwardFailure the URL would lead to whoever has the port already.
    forward = ("ssh", "-F", config, "-N", "-o", "ExitOnForwardFailure=yes", "-L", spec, record["node"])
    return Way("node", port, _url(port, record), forward)


def _url(port: int, record: Mapping[str, Any]) -> str:
    return f"http://{LOOPBACK}:{port}{record['base_url']}{page_of(record)}"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a local port reaches a session: record and cluster in, a plain ssh command line and a URL out. Pure."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import page_of

LOOPBACK = "127.0.0.1"
"""Never ``localhost``: that name may lead to another user's listener on ::1."""

_FIRST_PORT = 20000
_PORTS = 10000


@dataclass(frozen=True)
class Kind:
    """How a session must be offered for a route, and which fields of its record say where that is.

    ``what`` is the place in words. All of ``needs`` must have a value, and one of ``one_of`` where there are any.
    ``on_login_host`` says that it is on the login host that the record names, so that no other will do.
    """

    offer: str
    what: str
    needs: tuple[str, ...]
    one_of: tuple[str, ...] = ()
    on_login_host: bool = False

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Whether the session in ``record`` is offered for it."""
        whole = all(map(record.get, self.needs)) and (not self.one_of or any(map(record.get, self.one_of)))
        return whole and offer_of(record) == self.offer


ROUTES = {
    "local": Kind("loopback", "port of this machine", ("port",)),
    "node": Kind("socket", "socket on a node", ("node", "socket")),
    "step": Kind("socket", "socket on a node", ("node", "socket")),
    "lan": Kind("lan", "port of its node", ("address", "port", "login_host"), on_login_host=True),
    "reverse": Kind(
        "reverse", "socket on a login host", ("login_host",), ("login_socket", "login_port"), on_login_host=True
    ),
}
"""In the order in which ``auto`` tries them."""
OFFERS = {name: kind.offer for name, kind in ROUTES.items()}


@dataclass(frozen=True)
class Way:
    """How ``url`` is reached: ``ssh -F config`` to ``target`` with each of ``forwards`` as ``-L``.

    ``forwards`` are empty where the session itself listens on ``port``. ``rides`` says that ``target`` is the cluster's
    own name, so that the forwards can ride on the login master.
    """

    route: str
    port: int
    url: str
    config: str = ""
    target: str = ""
    forwards: tuple[str, ...] = ()
    rides: bool = False

    @property
    def forward(self) -> tuple[str, ...]:
        """The ssh argv that listens on ``port``; empty where the session itself does."""
        if not self.forwards:
            return ()
        listens = [word for item in self.forwards for word in ("-L", item)]
        if self.rides:
            # The master would keep the forward when this ssh ends, and open a shell in spite of -N.
            listens = ["-S", "none", *listens]
        # Without ExitOnForwardFailure the URL would lead to whoever has the port already.
        return ("ssh", "-F", self.config, "-N", "-o", "ExitOnForwardFailure=yes", *listens, self.target)

    @property
    def command(self) -> str:
        """The forward as a line to type."""
        return shlex.join(self.forward)


def first_port(account: str, session: str) -> int:
    """Where to begin the search for a port: the same for a session every time, below the ephemeral ones."""
    return _FIRST_PORT + zlib.crc32(f"{account}\0{session}".encode()) % _PORTS


def offer_of(record: Mapping[str, Any]) -> str:
    """How the session in ``record`` is offered; records of the first release do not say."""
    return str(record.get("offer") or ("socket" if record.get("socket") else "loopback"))


def route_of(record: Mapping[str, Any], *, local: bool, wanted: str = "auto") -> str:
    """The route that fits how the session is offered; of two that do, ``wanted`` if it is one, else ``node``."""
    if local:
        return "local"
    fitting = [route for route in OFFERS if route != "local" and OFFERS[route] == offer_of(record)]
    return wanted if wanted in fitting else (fitting or ["node"])[0]


def step_alias(cluster: str, session: str) -> str:
    """The name in the account's ssh_config of the sshd that route ``step`` starts inside the session's job."""
    return f"{cluster}-step-{session}"


def is_on_login_host(record: Mapping[str, Any], route: str) -> bool:
    """Whether the route ends on the login host that the record names, so that no other will do."""
    return ROUTES[route].on_login_host or record.get("scheduler") == "none"


def host_by_hand(record: Mapping[str, Any], login_hosts: Sequence[str]) -> str:
    """The ``host`` of ``way`` for a person who logs in by hand: where the cluster's name leads to is not known then."""
    return login_hosts[0] if record.get("login_host_keys") else ""


def way(
    record: Mapping[str, Any], *, local: bool, config: str, port: int, cluster: str = "", route: str = "",
    host: str = "", ports: Sequence[tuple[int, int]] = (),
) -> Way:
    """The way to a session that is ready; ``config`` is the account's ssh_config, ``port`` the local port to use.

    ``cluster`` is the name that logs in, ``host`` the login host it leads to, as that calls itself, if it is known.
    ``ports`` are pairs of a local port and one of the node's loopback that it leads to as well.
    """
    if local:
        return Way("local", record["port"], _url(record["port"], record))
    name = route or route_of(record, local=False)
    _check(record, name)
    main = f"{LOOPBACK}:{port}:{_endpoint(record, name)}"
    others = [f"{LOOPBACK}:{here}:{LOOPBACK}:{there}" for here, there in ports]
    target = _target(record, name, cluster=cluster, host=host)
    return Way(name, port, _url(port, record), config, target, (main, *others), rides=target == cluster)


def _check(record: Mapping[str, Any], route: str) -> None:
    if not ROUTES[route].is_in(record):
        raise HpcJupyterError(
            f"session {record['session']} of {record['account']} offers no {ROUTES[route].what}, "
            "so there is no way to it: stop it and launch it again"
        )


def _endpoint(record: Mapping[str, Any], route: str) -> str:
    if route == "lan":
        address = str(record["address"])
        return f"[{address}]:{record['port']}" if ":" in address else f"{address}:{record['port']}"
    if route == "reverse":
        return str(record.get("login_socket") or f"{LOOPBACK}:{record['login_port']}")
    return str(record["socket"])


def _target(record: Mapping[str, Any], route: str, *, cluster: str, host: str) -> str:
    if route == "step":
        return step_alias(cluster, record["session"])
    if not is_on_login_host(record, route):
        return str(record["node"])
    # Behind a name that many hosts answer to, the one that counts is reached by a hop of its own.
    elsewhere = host and record.get("login_host") and host != record["login_host"]
    return str(record["login_host"]) if elsewhere or not cluster else cluster


def _url(port: int, record: Mapping[str, Any]) -> str:
    scheme = "https" if record.get("tls_sha256") else "http"
    return f"{scheme}://{LOOPBACK}:{port}{record['base_url']}{page_of(record)}"

"""The way from a local port to a session, decided purely from its record and its cluster's facts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils import route as plain
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, possible_routes

from hpc_jupyter.errors import NoForward

LISTENS = "hpc-jupyter-forward-listens"
"""What ssh prints, by ``LocalCommand``, once it has logged in and its listener is there."""

_HOST = r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"
_LOOPS = re.compile(r"(?i)(?:ip6-)?localhost(?:\..*)?|127\.[0-9.]+|0")
"""Names that mean another host on every host."""
_PORT = r"[1-9][0-9]{0,4}"
_SOCKET = r"/[A-Za-z0-9._/-]{1,106}"
_FIELDS = {
    "base_url": re.compile(r"/(?:[A-Za-z0-9._-]+/)+"),
    "socket": re.compile(_SOCKET),
    "node": re.compile(_HOST),
    "port": re.compile(_PORT),
    "address": re.compile(r"[0-9.]{7,15}|[0-9A-Fa-f:]{2,39}"),
    "login_host": re.compile(_HOST),
    "login_socket": re.compile(rf"(?:{_SOCKET})?"),
    "login_port": re.compile(rf"0|{_PORT}"),
    "tls_sha256": re.compile(r"(?:[0-9a-f]{64})?"),
}
_OPTIONS = (
    "BatchMode=yes",
    "ControlMaster=no",
    "ControlPath=none",
    "GatewayPorts=no",
    # A LocalForward of the person's own may be taken by another of their logins; whether ours is there is looked at.
    "ExitOnForwardFailure=no",
    "StdinNull=yes",
    "PermitLocalCommand=yes",
    f"LocalCommand=echo {LISTENS}",
)


@dataclass(frozen=True)
class Route:
    """How a local port reaches the session: by the ssh ``argv``, or by ``rides`` on the login master.

    Both are empty where the session is on this machine already. ``rides`` are forwards as ``ssh -L`` takes them;
    ``command`` is what a person would type. ``sha256`` is the fingerprint of the server's certificate, if it has one.
    """

    name: str
    port: int
    base_url: str
    page: str
    argv: tuple[str, ...] = ()
    rides: tuple[str, ...] = ()
    command: str = ""
    sha256: str = ""
    ports: tuple[tuple[int, int], ...] = ()

    @property
    def url(self) -> str:
        """The server's address on this machine, without its token; never by the name ``localhost``."""
        return f"{'https' if self.sha256 else 'http'}://{plain.LOOPBACK}:{self.port}{self.base_url}"


def candidates(record: Record, cluster: Cluster, *, remembered: str = "") -> list[str]:
    """The routes to try, best first; one that the cluster's facts fix is the only one.

    A session that is offered to a login host already was changed while it ran, for a reason; after that comes what
    worked last time.
    """
    if cluster.route != "auto":
        return [cluster.route]
    possible = [route for route in possible_routes(record.scheduler) if route != "auto"]
    changed = plain.offer_of(asdict(record))
    first = [changed] if changed in ("lan", "reverse") else []
    return list(dict.fromkeys(route for route in (*first, remembered, *possible) if route in possible))


def plan(
    record: Record, cluster: Cluster, *, config: str, port: int, name: str = "", host: str = "",
    ports: Sequence[tuple[int, int]] = (),
) -> Route:  # fmt: skip
    """The route called ``name`` to a ready session; without a name the one that fits how it is offered.

    ``config`` is the account's generated ssh configuration, ``host`` the login host that it leads to, as far as that is
    known. Raises ``NoForward`` if the record does not hold what the route needs, or holds what no session would write.
    """
    name = name or plain.route_of(asdict(record), local=cluster.local, wanted=cluster.route)
    kind = plain.ROUTES[name]
    for field in ("base_url", *kind.needs, *kind.one_of, "tls_sha256"):
        _check(field, str(getattr(record, field)), record)
    if record.scheduler != "none" and "node" in kind.needs and _LOOPS.fullmatch(record.node):
        raise _not_right("node", record.node, record)
    try:
        way = plain.way(
            asdict(record), local=cluster.local, config=config, port=port, cluster=cluster.name, route=name, host=host,
            ports=ports,
        )  # fmt: skip
    except HpcJupyterError as error:
        raise NoForward(str(error)) from error
    rides = way.forwards if way.rides else ()
    return Route(
        name,
        port=way.port,
        base_url=record.base_url,
        page=way.url,
        argv=() if rides else _hardened(way.forward),
        rides=rides,
        command=way.command,
        sha256=record.tls_sha256,
        ports=tuple(ports),
    )


def _hardened(forward: tuple[str, ...]) -> tuple[str, ...]:
    """The plain command with what must hold whatever the person's own configuration says."""
    if not forward:
        return ()
    options = [argument for option in _OPTIONS for argument in ("-o", option)]
    return (forward[0], "-T", "-a", "-x", *options, *forward[1:-1], "--", forward[-1])


def _check(field: str, value: str, record: Record) -> None:
    if _FIELDS[field].fullmatch(value) is None or "/../" in value:
        raise _not_right(field, value, record)


def _not_right(field: str, value: str, record: Record) -> NoForward:
    return NoForward(
        f"the record of session {record.session} of {record.account} has {field} {value!r}, which cannot be right. "
        f"Stop it and launch it again: hpc-jupyter stop {record.account}"
    )

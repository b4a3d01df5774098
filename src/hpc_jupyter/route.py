"""The way from a local port to a session, decided purely from its record and its cluster's facts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils import route as plain
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter.errors import NoForward

LISTENS = "hpc-jupyter-forward-listens"
"""What ssh prints, by ``LocalCommand``, once it has logged in and its listener is there."""

_FIELDS = {
    "base_url": re.compile(r"/(?:[A-Za-z0-9._-]+/)+"),
    "socket": re.compile(r"/[A-Za-z0-9._/-]{1,106}"),
    "node": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}"),
    "port": re.compile(r"[1-9][0-9]{0,4}"),
}
_NEEDED = {"local": ("base_url", "port"), "node": ("base_url", "node", "socket")}
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
    """``argv`` makes the local port reach the session; empty where the session is on this machine already."""

    name: str
    port: int
    base_url: str
    argv: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The server's address on this machine, without its token; never by the name ``localhost``."""
        return f"http://{plain.LOOPBACK}:{self.port}{self.base_url}"


def choose(cluster: Cluster) -> str:
    """The route's name; ``auto`` is ``node`` on clusters and ``local`` on this machine."""
    return "local" if cluster.local else "node"


def plan(record: Record, cluster: Cluster, *, config: str, port: int) -> Route:
    """The route to a ready session; ``config`` is the account's generated ssh configuration.

    Raises ``NoForward`` if the record does not hold what the route needs, or holds what no session would write.
    """
    name = choose(cluster)
    for field in _NEEDED[name]:
        _check(field, str(getattr(record, field)), record)
    way = plain.way(asdict(record), local=cluster.local, config=config, port=port)
    return Route(name, port=way.port, base_url=record.base_url, argv=_hardened(way.forward))


def _hardened(forward: tuple[str, ...]) -> tuple[str, ...]:
    """The plain command with what must hold whatever the person's own configuration says."""
    if not forward:
        return ()
    options = [argument for option in _OPTIONS for argument in ("-o", option)]
    return (forward[0], "-T", "-a", "-x", *options, *forward[1:-1], "--", forward[-1])


def _check(field: str, value: str, record: Record) -> None:
    if _FIELDS[field].fullmatch(value) is None or "/../" in value:
        raise NoForward(
            f"the record of session {record.session} of {record.account} has {field} {value!r}, which cannot be right. "
            f"Stop it and launch it again: hpc-jupyter stop {record.account}"
        )

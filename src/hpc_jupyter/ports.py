"""The local ports that a connection is wanted on, and further ones of the node that it leads to as well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter.errors import NoForward
from hpc_jupyter.forward import PortTaken, is_free

_FORWARD = re.compile(r"(?:(?P<here>[1-9][0-9]{0,4}):)?(?P<there>[1-9][0-9]{0,4})")
_LAST = 65535
_UNPRIVILEGED = 1024
_TRIED = 50


@dataclass(frozen=True)
class Wanted:
    """``port`` is the local port of the session, 0 for any.

    ``ports`` are pairs of a local port, 0 for any, and the port of the node's 127.0.0.1 that it leads to.
    """

    port: int = 0
    ports: tuple[tuple[int, int], ...] = ()

    def has(self, held: Sequence[tuple[int, int]]) -> bool:
        """Whether ``held`` leads everywhere where this wants to go."""
        return all(any(wanted in ((0, there), (here, there)) for here, there in held) for wanted in self.ports)


def parse_forward(text: str) -> tuple[int, int]:
    """``PORT`` or ``LOCAL:PORT`` as a pair; raises ``BadInput``."""
    found = _FORWARD.fullmatch(text)
    here, there = (int(found["here"] or 0), int(found["there"])) if found else (0, 0)
    if not found or there > _LAST or here > _LAST or 0 < here < _UNPRIVILEGED:
        raise BadInput(
            "--forward", f"{text!r} is not PORT or LOCAL:PORT", hint="Write for example --forward 8787 or 9000:8787; "
            f"LOCAL is {_UNPRIVILEGED} to {_LAST}, PORT 1 to {_LAST}",
        )  # fmt: skip
    return here, there


def check_wanted(cluster: Cluster, ports: Sequence[tuple[int, int]]) -> None:
    """Refuse what can be seen to be impossible before anything is contacted."""
    if not ports:
        return
    if cluster.local:
        raise BadInput("--forward", f"{cluster.account} is this machine: open 127.0.0.1:{ports[0][1]} itself")
    if cluster.route in _OWN_PORT_ALONE and cluster.scheduler != "none":
        raise BadInput("--forward", _why_not(cluster.route))


def check_ports(route: str, record: Record, wanted: Wanted) -> None:
    """Raise ``NoForward`` if ``route`` cannot lead to further ports of the node."""
    if wanted.ports and route in _OWN_PORT_ALONE and record.scheduler != "none":
        raise NoForward(_why_not(route))


_OWN_PORT_ALONE = ("lan", "reverse")


def _why_not(route: str) -> str:
    return f"route {route} leads to Jupyter alone, not to further ports of the node; routes node and step can"


def chosen_ports(wanted: Sequence[tuple[int, int]], *, taken: int) -> tuple[tuple[int, int], ...]:
    """``wanted`` with free local ports, the node's own number where it is free; raises ``PortTaken``."""
    chosen: list[tuple[int, int]] = []
    for here, there in wanted:
        used = {taken, *(port for port, _there in chosen)}
        chosen.append((_free(here, there, used), there))
    return tuple(chosen)


def _free(here: int, there: int, used: set[int]) -> int:
    first = here or (there if there >= _UNPRIVILEGED else there + 10 * _UNPRIVILEGED)
    last = here or min(first + _TRIED, _LAST)
    for port in range(first, last + 1):
        if port not in used and is_free(port):
            return port
    hint = f"Choose one with --forward LOCAL:{there}"
    raise PortTaken(f"port {first} of this machine is taken by another program. {hint}")

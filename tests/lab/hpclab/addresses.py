"""Addresses and names: 10.SLOT.NETWORK.HOST, a slot for each lab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .topology import Topology

_FIRST_HOST = 11


@dataclass(frozen=True)
class Addresses:
    topology: Topology
    slot: int

    def of(self, host: str, network: str) -> str:
        number = [each.name for each in self.topology.hosts].index(host) + _FIRST_HOST
        return f"10.{self.slot}.{self.topology.networks.index(network) + 1}.{number}"

    def seen(self, host: str, *, by: str) -> str | None:
        """How one host reaches another: on the last network they share, which is the innermost."""
        theirs = self.topology.host(host).networks
        shared = [network for network in self.topology.host(by).networks if network in theirs]
        return self.of(host, shared[-1]) if shared else None

    def table(self, by: str, names: Mapping[str, Sequence[str]]) -> str:
        """The text of /etc/hosts on the host `by`."""
        own = [(self.seen(host.name, by=by), host.name) for host in self.topology.hosts]
        many = [(self.seen(host, by=by), name) for name, hosts in names.items() for host in hosts]
        lines = [f"{address} {name}" for address, name in own + many if address]
        return "\n".join(["127.0.0.1 localhost", "::1 localhost", *lines, ""])

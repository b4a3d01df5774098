"""Two clusters that share nothing but their people, each with its own Slurm; other people's jobs fill one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from hpclab import Lab
from hpclab.process import until
from hpclab.schedulers.slurm import Partition, Slurm
from hpclab.topologies import USERS
from hpclab.topology import Allow, Cluster, Home, Host, Topology
from tests import laptop
from tests.laptop import Laptop

FREE, BUSY = "lab", "busy"
_LOGIN = {FREE: "login", BUSY: "login-busy"}
_NODE = {FREE: "c1", BUSY: "c1-busy"}
_OTHERS = ["sbatch", "--parsable", "--exclusive", "--time=8:00:00", "--wrap=sleep 20000"]
"""A job of somebody else's that leaves no room on the node."""


def _hosts(cluster: str) -> tuple[Host, ...]:
    inside, ssh = f"inside-{cluster}", Allow(network="outside", ports=(22,))
    return (
        Host(name=_LOGIN[cluster], networks=("outside", inside), home=cluster, allow=(ssh,)),
        Host(name=_NODE[cluster], networks=(inside,), home=cluster),
    )


def _cluster(name: str) -> Cluster:
    main = Partition(name="main", nodes=(_NODE[name],), time_limit="8:00:00", default=True)
    slurm = Slurm(controller=_LOGIN[name], submit=(_LOGIN[name],), partitions=(main,))
    return Cluster(name=name, gateways=(), login_hosts=(_LOGIN[name],), scheduler=slurm)


TWO = Topology(
    name="two",
    users=USERS[:2],
    homes=(Home(name="laptop", key=True), *(Home(name=name, authorized=("laptop",)) for name in (FREE, BUSY))),
    hosts=(
        Host(name="client", networks=("outside",), home="laptop", sshd=None,
             allow=(Allow(network="outside", ports=()),)),
        *_hosts(FREE), *_hosts(BUSY),
    ),
    clusters=(_cluster(FREE), _cluster(BUSY)),
)  # fmt: skip


@dataclass(frozen=True)
class Racer:
    """Alice, with an account on each of the clusters."""

    person: Laptop

    def jobs(self, cluster: str) -> list[list[str]]:
        """Her jobs there: id, name, state, node."""
        return self.person.squeue(self.person.lab.host(_LOGIN[cluster]))

    def is_settled(self) -> bool:
        """Whether no race of hers is to be made good any more."""
        kept = ["find", f"/home/{self.person.user}/.local/state/hpc-jupyter/.races", "-name", "*.json"]
        return self.person.lab.host("client").run(kept, user=self.person.user, check=False).stdout == ""


@pytest.fixture(scope="module")
def two_clusters() -> Iterator[Lab]:
    """The lab; nobody's account is set up."""
    with laptop.up(f"two-{os.getpid()}", topology=TWO) as lab:
        yield lab


@pytest.fixture
def racer(two_clusters: Lab) -> Racer:
    """Both accounts are set up; on the busy cluster somebody else has the only node."""
    lab, person = two_clusters, Laptop(two_clusters)
    for user in TWO.users:
        lab.clean_account(user.name)
    person.write_inventory()
    person.set_up()
    facts = lab.facts(BUSY)
    person.add_cluster(BUSY, hpc_login_hosts=facts["login_hosts"], hpc_host_keys=facts["host_keys"])
    busy = lab.host(_LOGIN[BUSY])
    busy.run(_OTHERS, user="bob")
    states = ["squeue", "--noheader", "--user", "bob", "--format", "%T"]
    until(lambda: busy.run(states).stdout == "RUNNING\n", what="the other job", seconds=30)
    return Racer(person)


__all__ = ["BUSY", "FREE", "Racer", "racer", "two_clusters"]

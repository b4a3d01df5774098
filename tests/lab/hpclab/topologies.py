"""The labs there are."""

from collections.abc import Mapping

from . import sites
from .schedulers.sge import Sge
from .schedulers.slurm import Partition, Slurm
from .topology import Allow, Bind, Cluster, Daemon, File, Home, Host, Topology, User

__all__ = [
    "BY_NAME", "SGE", "SLURM", "USERS", "Allow", "Bind", "Cluster", "Daemon", "File", "Home", "Host", "Partition",
    "Sge", "Slurm", "Topology", "User",
]  # fmt: skip

USERS = (
    User(name="alice", uid=2001, login_shell="/bin/bash", password="wonderland 7"),
    User(name="bob", uid=2002, login_shell="/bin/sh", password="builder$'8"),
    User(name="mallory", uid=2003, login_shell="/usr/bin/tcsh", password="grüße 9"),
)

_NOTICE = "*** Wartung am Dienstag · módulos nuevos: see https://cluster.example.org/ ***\n"
_SSH_ONLY = (22,)

SLURM = Topology(
    name="slurm",
    users=USERS,
    homes=(
        Home(name="laptop", key=True),
        Home(name="gate", authorized=("laptop",)),
        Home(name="cluster", authorized=("laptop",)),
    ),
    hosts=(
        Host(
            name="client",
            networks=("outside",),
            home="laptop",
            sshd=None,
            allow=(Allow(network="outside", ports=()),),
        ),
        Host(
            name="gate",
            networks=("outside", "border"),
            home="gate",
            allow=(Allow(network="outside", ports=_SSH_ONLY), Allow(network="border", ports=_SSH_ONLY)),
        ),
        *(
            Host(
                name=name,
                networks=("border", "inside"),
                home="cluster",
                notice=_NOTICE,
                allow=(Allow(network="border", ports=_SSH_ONLY),),
            )
            for name in ("login1", "login2")
        ),
        Host(name="ctl", networks=("inside",), home="cluster", sshd=None),
        Host(name="c1", networks=("inside",), home="cluster"),
        Host(name="c2", networks=("inside",), home="cluster"),
        Host(name="g1", networks=("inside",), home="cluster", gpus=2),
    ),
    names={"login": ("login1", "login2")},
    clusters=(
        Cluster(
            name="lab",
            gateways=("gate",),
            login_hosts=("login",),
            scheduler=Slurm(
                controller="ctl",
                submit=("login1", "login2"),
                partitions=(
                    Partition(name="main", nodes=("c1", "c2"), time_limit="8:00:00", default=True),
                    Partition(name="gpu", nodes=("g1",), time_limit="1:00:00"),
                ),
                gpus={"g1": 2},
            ),
        ),
    ),
)

SGE = Topology(
    name="sge",
    users=USERS[:1],
    homes=(Home(name="laptop", key=True), Home(name="cluster", authorized=("laptop",))),
    hosts=(
        Host(
            name="client", networks=("outside",), home="laptop", sshd=None,
            allow=(Allow(network="outside", ports=()),),
        ),
        Host(
            name="login", networks=("outside", "inside"), home="cluster", notice=_NOTICE,
            allow=(Allow(network="outside", ports=_SSH_ONLY),),
        ),
        Host(name="ctl", networks=("inside",), home="cluster", sshd=None),
        Host(name="c1", networks=("inside",), home="cluster", gpus=2),
    ),
    clusters=(
        Cluster(
            name="lab", gateways=(), login_hosts=("login",),
            scheduler=Sge(master="ctl", submit=("login",), nodes=("c1",)),
        ),
    ),
)  # fmt: skip
"""Grid Engine, whose node is no submit host: there its programs tell of no job at all."""

BY_NAME: Mapping[str, Topology] = {each.name: each for each in (SLURM, SGE, *sites.ALL)}

"""Labs of the shapes that real sites have; their hosts go by the names in the example inventory."""

from .schedulers.slurm import Partition, Slurm
from .topology import Allow, Cluster, File, Home, Host, Topology, User

__all__ = ["ALL", "CORI", "DICE", "GPULAB", "HOPPING", "HYDRA", "ONE_TIME_CODE", "OTP_SECRET", "SEALED"]

_SSH = (22,)
_ALICE = User(name="alice", uid=2001, login_shell="/bin/bash", password="wonderland 7")
_MALLORY = User(name="mallory", uid=2003, login_shell="/usr/bin/tcsh", password="grüße 9")
_USERS = (_ALICE, _MALLORY)
_HOMES = (
    Home(name="laptop", key=True),
    Home(name="gate", authorized=("laptop",)),
    Home(name="cluster", authorized=("laptop",)),
)
_MODULES = "/usr/share/modules/modulefiles"
_MODULES_PACKAGE = {"environment-modules": "/usr/share/modules/init/bash"}
_SLURMD, _SLURMCTLD, _SRUN = 6818, 6817, range(60001, 60033)
_OUTSIDE_SSH = Allow(network="outside", ports=_SSH)
_FROM_GATE = Allow(network="border", ports=_SSH)

_CLIENT = Host(
    name="client", networks=("outside",), home="laptop", sshd=None, allow=(Allow(network="outside", ports=()),)
)


_NO_SSHD = File(path="/usr/sbin/sshd", text="")
"""Hosts without the program; the machine that the lab runs on has it."""


def _module(name: str) -> File:
    """A module that brings the JupyterLab in /opt/jupyter."""
    return File(path=f"{_MODULES}/{name}", text="#%Module\nprepend-path PATH /opt/jupyter/bin\n")


def _slurm(login: str, *, submit: tuple[str, ...], nodes: tuple[str, ...], partition: str = "main") -> Slurm:
    """Slurm whose controller runs on a login host, which saves a host; srun listens on few, known ports."""
    return Slurm(
        controller=login,
        submit=submit,
        partitions=(Partition(name=partition, nodes=nodes, time_limit="8:00:00", default=True),),
        settings={"SrunPortRange": f"{_SRUN[0]}-{_SRUN[-1]}"},
    )


def _gateway(name: str, *, sshd: dict[str, str] | None = None, files: tuple[File, ...] = ()) -> Host:
    return Host(
        name=name, networks=("outside", "border"), home="gate", sshd=sshd or {}, files=files,
        allow=(_OUTSIDE_SSH, Allow(network="border", ports=_SSH)),
    )  # fmt: skip


CORI = Topology(
    name="cori",
    users=_USERS,
    homes=_HOMES,
    hosts=(
        _CLIENT,
        *(
            Host(
                name=name, networks=("outside", "inside"), home="cluster", allow=(_OUTSIDE_SSH,),
                files=(_module("python/3.11"),),
            )
            for name in ("cori03", "cori06")
        ),
        *(
            Host(
                name=name, networks=("inside",), home="cluster", sshd=None,
                files=(_module("python/3.11"), _NO_SSHD),
            )
            for name in ("nid00131", "nid00132")
        ),
    ),
    names={"cori.example.org": ("cori03", "cori06")},
    packages=_MODULES_PACKAGE,
    clusters=(
        Cluster(
            name="cori",
            gateways=(),
            login_hosts=("cori.example.org",),
            scheduler=_slurm("cori03", submit=("cori03", "cori06"), nodes=("nid00131", "nid00132")),
        ),
    ),
)  # fmt: skip
"""Login hosts behind one name, which reach the nodes' ports; nobody logs in to a node."""

HYDRA = Topology(
    name="hydra",
    users=_USERS,
    homes=_HOMES,
    hosts=(
        _CLIENT,
        _gateway("gate.example.org"),
        Host(
            name="hydra08i.example.org", networks=("border",), home="cluster", allow=(_FROM_GATE,),
            files=(_module("anaconda/3"),), directories={"/run/screen": 0o1777},
        ),
    ),
    packages={**_MODULES_PACKAGE, "screen": "screen", "tmux": "tmux"},
    clusters=(Cluster(name="hydra", gateways=("gate.example.org",), login_hosts=("hydra08i.example.org",)),),
)  # fmt: skip
"""A gateway and one login host to work on, without a queue."""

_CONDA_STAND_IN = """\
# conda cannot be installed from Debian or PyPI: this stands in for its activation of an environment.
conda() {
    case $2 in */*) CONDA_PREFIX=$2 ;; *) CONDA_PREFIX=/opt/conda-stand-in/envs/$2 ;; esac
    [ -d "$CONDA_PREFIX/conda-meta" ] || { echo "EnvironmentNameNotFound: $2" >&2; return 1; }
    export CONDA_PREFIX PATH="$CONDA_PREFIX/bin:$PATH"
}
"""
_CONDA = (
    File(path="/opt/conda-stand-in/etc/profile.d/conda.sh", text=_CONDA_STAND_IN),
    File(path="/opt/conda-stand-in/envs/mlp/conda-meta/history", text=""),
    File(
        path="/opt/conda-stand-in/envs/mlp/bin/python", text='#!/bin/bash\nexec /opt/jupyter/bin/python "$@"\n',
        mode=0o755,
    ),
)  # fmt: skip

DICE = Topology(
    name="dice",
    users=_USERS,
    homes=_HOMES,
    hosts=(
        _CLIENT,
        _gateway("student.ssh.example.org", sshd={"AllowTcpForwarding": "no", "AllowStreamLocalForwarding": "no"}),
        *(
            Host(name=name, networks=("border",), home="cluster", allow=(_FROM_GATE,), files=_CONDA)
            for name in ("ashbury", "barcelona")
        ),
    ),
    names={"student.compute.example.org": ("ashbury", "barcelona")},
    packages={"netcat-openbsd": "nc.openbsd"},
    clusters=(
        Cluster(
            name="dice", gateways=("student.ssh.example.org",), login_hosts=("student.compute.example.org",)
        ),
    ),
)  # fmt: skip
"""A gateway that forwards nothing, and shared servers behind one name, without a queue."""

GPULAB = Topology(
    name="gpulab",
    users=_USERS,
    homes=(Home(name="laptop"), Home(name="cluster")),
    hosts=(
        _CLIENT,
        Host(name="login.example.org", networks=("outside", "inside"), home="cluster", allow=(_OUTSIDE_SSH,)),
        Host(name="compute-0-11", networks=("inside",), home="cluster", gpus=2),
    ),
    clusters=(
        Cluster(
            name="gpulab",
            gateways=(),
            login_hosts=("login.example.org",),
            scheduler=Slurm(
                controller="login.example.org",
                submit=("login.example.org",),
                partitions=(Partition(name="gpu", nodes=("compute-0-11",), time_limit="4:00:00"),),
                gpus={"compute-0-11": 2},
                memory_mb=16000,
            ),
        ),
    ),
)
"""Slurm with GPUs; nobody has a key anywhere yet."""

_TO_SLURMD = Allow(network="inside", ports=(_SLURMD,))

HOPPING = Topology(
    name="hopping",
    users=_USERS,
    homes=_HOMES,
    hosts=(
        _CLIENT,
        _gateway("proxy.example.org"),
        Host(
            name="login.example.org", networks=("border", "inside"), home="cluster", allow=(_FROM_GATE,),
            files=(_module("tools/jupyterlab"),),
        ),
        *(
            Host(
                name=name, networks=("inside",), home="cluster", sshd=None, allow=(_TO_SLURMD,),
                files=(_module("tools/jupyterlab"), _NO_SSHD),
            )
            for name in ("n1", "n2")
        ),
    ),
    packages=_MODULES_PACKAGE,
    clusters=(
        Cluster(
            name="hopping",
            gateways=("proxy.example.org",),
            login_hosts=("login.example.org",),
            scheduler=_slurm("login.example.org", submit=("login.example.org",), nodes=("n1", "n2")),
        ),
    ),
)  # fmt: skip
"""Nodes into which only the scheduler gets, and from which one gets to the login host."""

SEALED = Topology(
    name="sealed",
    users=_USERS,
    homes=_HOMES,
    hosts=(
        _CLIENT,
        Host(
            name="login.example.org", networks=("outside", "inside"), home="cluster",
            allow=(_OUTSIDE_SSH, Allow(network="inside", ports=(_SLURMCTLD, *_SRUN))),
        ),
        Host(name="s1", networks=("inside",), home="cluster", allow=(_TO_SLURMD,)),
    ),
    clusters=(
        Cluster(
            name="sealed",
            gateways=(),
            login_hosts=("login.example.org",),
            scheduler=_slurm("login.example.org", submit=("login.example.org",), nodes=("s1",)),
        ),
    ),
)  # fmt: skip
"""Nothing but the scheduler passes between login host and nodes, in either direction."""

OTP_SECRET = "3132333435363738393031323334353637383930"
"""Alice's secret for one-time codes, in hexadecimal."""

_PAM = """\
auth required pam_unix.so
auth required pam_oath.so usersfile=/etc/oath/users window=5 digits=6
account required pam_unix.so
session required pam_permit.so
"""

ONE_TIME_CODE = Topology(
    name="otp",
    users=_USERS,
    homes=_HOMES,
    hosts=(
        _CLIENT,
        _gateway(
            "gate",
            sshd={
                "UsePAM": "yes",
                "PasswordAuthentication": "no",
                "KbdInteractiveAuthentication": "yes",
                "AuthenticationMethods": "keyboard-interactive:pam",
            },
            files=(
                File(path="/etc/pam.d/sshd", text=_PAM),
                File(path="/etc/oath/users", text=f"HOTP/T30/6\talice\t-\t{OTP_SECRET}\n", mode=0o600),
            ),
        ),
        Host(name="login", networks=("border", "inside"), home="cluster", allow=(_FROM_GATE,)),
        Host(name="c1", networks=("inside",), home="cluster"),
    ),
    packages={"libpam-oath": "/usr/lib/*/security/pam_oath.so", "oathtool": "oathtool"},
    clusters=(
        Cluster(
            name="otp",
            gateways=("gate",),
            login_hosts=("login",),
            scheduler=_slurm("login", submit=("login",), nodes=("c1",)),
        ),
    ),
)
"""A gateway that asks for a password and a one-time code."""

ALL = (CORI, HYDRA, DICE, GPULAB, HOPPING, SEALED, ONE_TIME_CODE)

"""Slurm as Debian packages it, told to be quick."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpclab import packages
from hpclab.process import until
from hpclab.topology import Daemon, File, Host

if TYPE_CHECKING:
    from hpclab.lab import Lab

_CONF = "/etc/slurm/slurm.conf"
_MUNGE = "/run/munge/munge.socket.2"
_CONTROLLER_PORT, _NODE_PORT = 6817, 6818
_UP = ("idle", "mix", "alloc", "comp")
_SETTINGS: Mapping[str, str] = {
    "SlurmUser": "slurm",
    "SlurmctldPort": str(_CONTROLLER_PORT),
    "SlurmdPort": str(_NODE_PORT),
    "AuthType": "auth/munge",
    "CredType": "cred/munge",
    "StateSaveLocation": "/var/spool/slurmctld",
    "SlurmdSpoolDir": "/var/spool/slurmd",
    "SlurmctldPidFile": "/run/slurmctld.pid",
    "SlurmdPidFile": "/run/slurmd.pid",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "AccountingStorageType": "accounting_storage/none",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core_Memory",
    "SchedulerType": "sched/backfill",
    # jobs start at once instead of when the next periodic cycle comes
    "SchedulerParameters": "batch_sched_delay=0,sched_min_interval=0,bf_interval=1",
    "SlurmdParameters": "config_overrides",
    "ReturnToService": "2",
    "MpiDefault": "none",
    "MailProg": "/bin/true",
    "KillWait": "3",
    "MinJobAge": "10",
    "CompleteWait": "0",
    "SlurmdTimeout": "30",
    "MessageTimeout": "10",
}


@dataclass(frozen=True, kw_only=True)
class Partition:
    name: str
    nodes: tuple[str, ...]
    time_limit: str = "UNLIMITED"
    default_time: str = "10:00"
    default: bool = False
    priority: int = 1  # where the cluster preempts, jobs of a higher one take the nodes of a lower one's


@dataclass(frozen=True, kw_only=True)
class Slurm:
    controller: str
    submit: tuple[str, ...]
    partitions: tuple[Partition, ...]
    gpus: Mapping[str, int] = field(default_factory=dict)  # node -> how many
    cpus: int = 4
    memory_mb: int = 4000
    enforce_limits: str = "NO"
    settings: Mapping[str, str] = field(default_factory=dict)

    kind = "slurm"
    packages = packages.SLURM

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node for partition in self.partitions for node in partition.nodes))

    def files(self, host: Host, *, secret: str) -> tuple[File, ...]:
        if not self._member(host):
            return ()
        return (
            File(path="/etc/munge/munge.key", text=secret, mode=0o400, owner="munge"),
            File(path=_CONF, text=self.config()),
            File(path="/etc/slurm/gres.conf", text=self._gres_config()),
            File(path="/etc/slurm/cgroup.conf", text="CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"),
        )

    def directories(self, host: Host) -> Mapping[str, str]:
        munge = dict.fromkeys(("/run/munge", "/var/log/munge", "/var/lib/munge", "/etc/munge"), "munge")
        spool = {"/var/spool/slurmctld": "slurm", "/var/spool/slurmd": "root"}
        return {**munge, **spool} if self._member(host) else {}

    def daemons(self, host: Host) -> tuple[Daemon, ...]:
        return (
            *([_munged()] if self._member(host) else []),
            *([_slurmctld()] if host.name == self.controller else []),
            *([_slurmd(host.name)] if host.name in self.nodes else []),
        )

    def wait_ready(self, lab: "Lab") -> None:
        until(lambda: self._all_up(lab), what="Slurm with all its nodes up", seconds=20)

    def cancel(self, lab: "Lab", user: str) -> None:
        lab.host(self.controller).run(["scancel", "--user", user], timeout=20)

    def idle(self, lab: "Lab", user: str) -> bool:
        return not self.jobs(lab, user)

    def jobs(self, lab: "Lab", user: str) -> list[str]:
        """`squeue` leaves out finished jobs, and lists those whose node still cleans up."""
        argv = ["squeue", "--noheader", "--user", user, "--format", "%i"]
        return lab.host(self.controller).run(argv, timeout=20).stdout.split()

    @property
    def controller_process(self) -> tuple[str, str]:
        return self.controller, "slurmctld"

    def config(self) -> str:
        """The text of slurm.conf."""
        own = {
            "ClusterName": "lab",
            "SlurmctldHost": self.controller,
            "EnforcePartLimits": self.enforce_limits,
            "GresTypes": "gpu",
        }
        settings = {**own, **_SETTINGS, **self.settings}
        lines = [f"{name}={value}" for name, value in settings.items()]
        nodes, partitions = map(self._node, self.nodes), map(_partition, self.partitions)
        return "\n".join([*lines, *nodes, *partitions, ""])

    def _member(self, host: Host) -> bool:
        return host.name in (self.controller, *self.submit, *self.nodes)

    def _node(self, name: str) -> str:
        gres = f" Gres=gpu:fake:{self.gpus[name]}" if name in self.gpus else ""
        return f"NodeName={name} CPUs={self.cpus} RealMemory={self.memory_mb} State=UNKNOWN{gres}"

    def _gres_config(self) -> str:
        return "".join(
            f"NodeName={node} Name=gpu Type=fake File=/dev/gpu{number}\n"
            for node, count in self.gpus.items()
            for number in range(count)
        )

    def _all_up(self, lab: "Lab") -> bool:
        """A star behind the state means that the node does not answer."""
        sinfo = lab.host(self.controller).run(["sinfo", "-h", "-N", "-o", "%N %t"], check=False, timeout=20)
        return {node for node, state in map(str.split, sinfo.stdout.splitlines()) if state in _UP} == set(self.nodes)


def _partition(partition: Partition) -> str:
    return (
        f"PartitionName={partition.name} Nodes={','.join(partition.nodes)} State=UP MaxTime={partition.time_limit} "
        f"DefaultTime={partition.default_time} Default={'YES' if partition.default else 'NO'} DefMemPerCPU=256 "
        f"PriorityTier={partition.priority}"
    )


def _munged() -> Daemon:
    return Daemon(
        name="munged",
        argv=("munged", "--foreground", "--force"),
        owner="munge",
        ready_path=_MUNGE,
        log="/var/log/munge/munged.log",
    )


def _slurmctld() -> Daemon:
    return Daemon(name="slurmctld", argv=("slurmctld", "-D", "-c"), ready_port=_CONTROLLER_PORT)


def _slurmd(node: str) -> Daemon:
    return Daemon(name="slurmd", argv=("slurmd", "-D", "-N", node), ready_port=_NODE_PORT)

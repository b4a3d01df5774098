"""What a lab looks like, as data; see `topologies` for the ones there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hpclab import packages

if TYPE_CHECKING:
    from .schedulers import Scheduler


@dataclass(frozen=True, kw_only=True)
class User:
    """An account, the same on every host."""

    name: str
    uid: int
    login_shell: str
    password: str


@dataclass(frozen=True, kw_only=True)
class File:
    path: str
    text: str
    mode: int = 0o644
    owner: str = "root"


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A program that stays in the foreground, and how to see that it serves: a listening TCP port or a path."""

    name: str
    argv: tuple[str, ...]
    owner: str = "root"
    ready_port: int | None = None
    ready_path: str | None = None
    log: str | None = None  # where it writes when not to stdout


@dataclass(frozen=True, kw_only=True)
class Allow:
    """Lets `sources` (None: every host) connect to `ports` (None: every port) on one network.

    A network that no rule of a host names is open; on one that a rule names, the rest is refused.
    """

    network: str
    ports: tuple[int, ...] | None = None
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Home:
    """One /home, of all the hosts that name it; its accounts take the keys made in the homes of `authorized`."""

    name: str
    key: bool = False
    authorized: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Host:
    name: str
    networks: tuple[str, ...]
    home: str
    sshd: Mapping[str, str] | None = field(default_factory=dict)  # options over the defaults; None: no sshd
    allow: tuple[Allow, ...] = ()
    otherwise: Literal["reject", "drop"] = "reject"
    notice: str = ""  # what the accounts' profile prints on stdout, in shells that nobody sits at too
    gpus: int = 0
    files: tuple[File, ...] = ()
    directories: Mapping[str, int] = field(default_factory=dict)  # path -> mode


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What an inventory says of a cluster: where one enters, and what runs the jobs."""

    name: str
    gateways: tuple[str, ...]
    login_hosts: tuple[str, ...]
    scheduler: "Scheduler | None" = None


@dataclass(frozen=True, kw_only=True)
class Topology:
    name: str
    hosts: tuple[Host, ...]
    homes: tuple[Home, ...]
    users: tuple[User, ...]
    clusters: tuple[Cluster, ...]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # round-robin name -> hosts, in order
    packages: Mapping[str, str] = field(default_factory=dict)  # beyond those of every lab: package -> program

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def user(self, name: str) -> User:
        return next(user for user in self.users if user.name == name)

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(network for host in self.hosts for network in host.networks))

    @property
    def schedulers(self) -> "tuple[Scheduler, ...]":
        return tuple(cluster.scheduler for cluster in self.clusters if cluster.scheduler)

    @property
    def needs(self) -> tuple[Mapping[str, str], ...]:
        """All that this lab needs of the machine: package -> program."""
        return (packages.HOSTS, self.packages, *(each.packages for each in self.schedulers))


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A directory of the machine that hosts see; their mount point is made."""

    source: str
    target: str
    hosts: tuple[str, ...]
    writable: bool = False

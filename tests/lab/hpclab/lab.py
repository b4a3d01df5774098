"""A lab: hosts in network namespaces, from a topology."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from . import packages, state
from .addresses import Addresses
from .build import batch, build, disk_of
from .errors import LabError
from .host import Inside, RunningHost, users
from .keys import Keys, read_or_make
from .plan import Site, hash_passwords, port_name
from .process import Process, until
from .skeleton import account_files, remove_owned, restore_home
from .topology import Bind, Cluster, Topology, User

_CLEAN = ("tmp", "var/tmp", "dev/shm", "run", "var/spool")


class Lab:
    """Use as a context manager, or call `down` in a finally; calling it again is harmless."""

    def __init__(self, topology: Topology, current: state.State, keys: Keys) -> None:
        self.topology = topology
        self.name = current.name
        self._state = current
        self._keys = keys
        self._addresses = Addresses(topology, current.slot)
        self._names: dict[str, tuple[str, ...]] = dict(topology.names)
        self._builders: list[subprocess.Popen[str]] = []
        self._started: list[Inside] = []
        self._cut: set[str] = set()

    @classmethod
    def up(cls, topology: Topology, *, name: str = "lab", binds: Sequence[Bind] = (), keep: bool = False) -> Self:
        """Builds a lab in place of an abandoned one of that name; with `keep` it outlives this process."""
        require_root()
        packages.require(topology.needs)
        owner = None if keep else Process.of(os.getpid())
        current = state.claim(name, topology=topology.name, owner=owner)
        try:
            lab = cls(topology, current, read_or_make(topology, current.directory / "keys"))
        except BaseException:
            state.remove(name)
            raise
        lab._build(binds)
        return lab

    @classmethod
    def attach(cls, topology: Topology, name: str) -> Self:
        """A lab that another process built."""
        require_root()
        current = state.load(name)
        if not current or not current.running:
            raise LabError(f"no lab {name!r} is up")
        return cls(topology, current, read_or_make(topology, current.directory / "keys"))

    def down(self) -> None:
        state.remove(self.name)
        for process in (*self._builders, *self._started):
            _let_go(process)
        self._builders.clear()
        self._started.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def host(self, name: str) -> RunningHost:
        try:
            init = self._state.hosts[name]
        except KeyError:
            raise LabError(f"no host {name!r}; there are {', '.join(self._state.hosts)}") from None
        return RunningHost(name, init, users(self.topology.users), self._started)

    def address(self, host: str, *, by: str) -> str | None:
        """How `by` reaches the host; None if they share no network."""
        return self._addresses.seen(host, by=by)

    def cut(self, host: str) -> None:
        """Pulls the host's cables."""
        self._cables(host, "down")
        self._cut.add(host)

    def heal(self, host: str) -> None:
        self._cables(host, "up")
        self._cut.discard(host)

    def mend(self) -> None:
        """Takes back every `cut` and `resolve`; returns once jobs can start again."""
        if self._names != self.topology.names:
            for name, hosts in self.topology.names.items():
                self.resolve(name, hosts)
        if self._cut:
            for host in tuple(self._cut):
                self.heal(host)
            self._wait_ready()

    def resolve(self, name: str, hosts: Sequence[str]) -> None:
        """Lets a round-robin name answer with these hosts, in this order, everywhere."""
        self._names[name] = tuple(hosts)
        for host in self._state.hosts:
            self.host(host).write("/etc/hosts", self._addresses.table(host, self._names))

    def clean_account(self, user: str) -> None:
        """Ends all that the user's tests left, and gives the account what a new one has."""
        account = self.topology.user(user)
        for scheduler in self.topology.schedulers:
            scheduler.cancel(self, user)
        until(lambda: self._quiet(user), what=f"end of what {user} runs", seconds=20)
        for home in self.topology.homes:
            files = account_files(account, home, self._keys)
            restore_home(disk_of(self._state) / "homes" / home.name / user, account, files)
        for host in self._state.hosts:
            self._remove_files(host, account)

    @property
    def passwords(self) -> Mapping[str, str]:
        return {user.name: user.password for user in self.topology.users}

    def fingerprint(self, host: str) -> str:
        return self._keys.hosts[host].fingerprint

    def known_hosts(self) -> str:
        """Lines for ~/.ssh/known_hosts that pin every host under every name."""
        return "".join(
            f"{name} {' '.join(self._keys.hosts[host].public.split()[:2])}\n"
            for name, hosts in self._ssh_names().items()
            for host in hosts
        )

    def facts(self, cluster: str | None = None) -> dict[str, Any]:
        """What an inventory says of the cluster (the first one, unless named)."""
        chosen = next(each for each in self.topology.clusters if cluster in (None, each.name))
        return {
            "gateways": list(chosen.gateways),
            "login_hosts": list(chosen.login_hosts),
            "host_keys": self._host_keys(),
            "scheduler": _kind(chosen),
        }

    def _site(self, binds: Sequence[Bind]) -> Site:
        return Site(
            topology=self.topology,
            addresses=self._addresses,
            keys=self._keys,
            hashes=hash_passwords(self.topology),
            disk=self._state.directory / "disk",
            binds=binds,
        )

    def _build(self, binds: Sequence[Bind]) -> None:
        try:
            self._state = build(self._site(binds), self._state, self._builders)
            self._wait_ready()
        except BaseException:
            self.down()
            raise

    def _wait_ready(self) -> None:
        for scheduler in self.topology.schedulers:
            scheduler.wait_ready(self)

    def _cables(self, name: str, direction: str) -> None:
        host = self.topology.host(name)
        assert self._state.hub
        batch(self._state.hub, [f"link set dev {port_name(host, network)} {direction}" for network in host.networks])

    def _quiet(self, user: str) -> bool:
        """Every look kills again: what ends may start something first."""
        killed = [name for name in self._state.hosts if self.host(name).kill_all(user)]
        return not killed and all(scheduler.idle(self, user) for scheduler in self.topology.schedulers)

    def _remove_files(self, host: str, account: User) -> None:
        root = self.host(host).root
        for folder in _CLEAN:
            remove_owned(root / folder, account)

    def _ssh_names(self) -> dict[str, tuple[str, ...]]:
        return {**{host: (host,) for host in self._keys.hosts}, **self.topology.names}

    def _host_keys(self) -> dict[str, list[str]]:
        return {name: [self.fingerprint(host) for host in hosts] for name, hosts in self._ssh_names().items()}


def require_root() -> None:
    if os.geteuid():
        raise LabError("a lab is made of network namespaces: run this as root")


def _kind(cluster: Cluster) -> str:
    return cluster.scheduler.kind if cluster.scheduler else "none"


def _let_go(process: subprocess.Popen[str]) -> None:
    """Its namespace is gone: what remains is to take note of its end and to close its pipes."""
    process.wait(timeout=10)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe and not pipe.closed:
            pipe.close()

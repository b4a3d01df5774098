"""A site of the guides as its tests see it: a session from launch to stop, and what listens on every host meanwhile."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab import Lab, topologies
from tests import laptop, mallory, typist
from tests.laptop import JUPYTER, Laptop

WHERE = "import socket; print(socket.gethostname())"
FIXED = "hpc_route says so"
FIRST = "it is the first that works"
_CELL = "/srv/cell.py"
_TYPIST = "/srv/typist.py"
_LOOPBACK = "127.0.0.1"
_SCHEDULERS = ("slurmstepd", "srun")
"""What a scheduler opens for its own jobs and steps; ``hpclab.sites`` says on which ports."""


@dataclass(frozen=True)
class Socket:
    """Something that listens; ``port`` is None for a Unix socket, whose ``address`` is its path."""

    host: str
    program: str
    address: str
    port: int | None


@dataclass(frozen=True)
class Site:
    """A person at the laptop of a site's lab, and what listened before they did anything.

    ``variables`` are those in which the inventory differs from the example that the project ships.
    """

    person: Laptop
    before: frozenset[Socket]
    variables: dict[str, Any]

    @property
    def lab(self) -> Lab:
        """The lab."""
        return self.person.lab

    def launch(self, *options: str, verb: str = "launch", timeout: float = 200) -> Session:
        """``hpc-jupyter launch``, or another verb that connects; the connection is left to the background."""
        asked = ("--detach", "--no-browser", "--json", "--explain", *options)
        done = self.person.cli(verb, self.person.account, *asked, timeout=timeout)
        return Session(self, json.loads(done.stdout), done.stderr)

    def check_auto(self, *, route: str, nodes: Sequence[str], fails: Sequence[str] = ()) -> None:
        """With ``hpc_route: auto`` the first of the routes that works is found, and is remembered."""
        self.person.write_example(**{**self.variables, "hpc_route": "auto"})
        session = self.launch()
        session.check(route=route, nodes=nodes, why=FIRST)
        told = dict(re.findall(r"^Route (\w+): (.+)$", session.explained, re.MULTILINE))
        assert [name for name, what in told.items() if not what.startswith(("works", "not tried"))] == list(fails)
        assert self.launch(verb="connect").told["port"] == session.told["port"]
        self.stop()

    def stop(self) -> None:
        """``hpc-jupyter stop``, which leaves nothing but the login."""
        self.person.cli("stop", self.person.account)
        assert self.left() == []

    def new_sockets(self) -> list[Socket]:
        """What listens now and did not before, without what the scheduler opens for itself."""
        found = sorted(set(sockets(self.lab)) - self.before, key=str)
        return [each for each in found if each.program not in _SCHEDULERS]

    def left(self) -> list[str]:
        """Processes, files and sockets of the person's that a session could leave behind on the cluster's hosts."""
        left = [str(each) for each in self.new_sockets() if each.host != "client" or each.port]
        for name in laptop.hosts_of_cluster(self.lab.topology):
            host = self.lab.host(name)
            # tmux leaves the directory of its sockets, which is for all that the person does with it.
            argv = ["find", "/tmp", "/var/tmp", "/dev/shm", "-user", self.person.user, "-not", "-path", "/tmp/tmux-*"]
            left += host.run(argv).stdout.splitlines()
            running = [" ".join(argv) for _pid, argv in host.processes(user=self.person.user)]
            left += [f"{name}: {line}" for line in running if not line.startswith("sshd:")]
        return left

    def log_out(self) -> None:
        """End the login master, as a closed lid does."""
        config = f"/home/{self.person.user}/.local/state/hpc-jupyter/{self.person.account}/ssh_config"
        argv = ["ssh", "-F", config, "-O", "exit", self.person.cluster]
        self.lab.host("client").run(argv, user=self.person.user)

    def type(self, answers: Sequence[tuple[str, str]], *argv: str, timeout: float = 200) -> str:
        """Run a program of ours on a terminal, where ``answers`` are typed when their questions come; what was seen."""
        words = [typist.PYTHON, _TYPIST, json.dumps(answers), f"{laptop.PREFIX}/bin/{argv[0]}", *argv[1:]]
        return self.lab.host("client").run(words, user=self.person.user, timeout=timeout).stdout


@dataclass(frozen=True)
class Session:
    """A session that is connected: what ``--json`` and ``--explain`` told."""

    site: Site
    told: dict[str, Any]
    explained: str

    @property
    def node(self) -> str:
        """The lab's name of the host it runs on, of which a record may hold the first part alone."""
        hosts = {host.name.partition(".")[0]: host.name for host in self.site.lab.topology.hosts}
        return hosts[self.told["node"].partition(".")[0]]

    def check(self, *, route: str, nodes: Sequence[str], why: str = FIXED) -> None:
        """It is reached by ``route``, a cell runs on one of ``nodes``, and nothing else listens; the commands work."""
        record = self.site.person.record()
        assert (self.told["state"], self.told["route"]) == ("ready", route), self.explained
        assert self.told["node"] == record["node"]
        assert self.node in nodes
        assert f"Route {route}: works; taken because {why}\n" in self.explained
        assert self.cell(WHERE, keep=True) == f"{self.node}\n"
        self.check_sockets(record)
        self.check_doors()
        self.check_pasted()

    def cell(self, code: str, *, keep: bool = False) -> str:
        """What ``code`` prints, run through the forward; its kernel is left running if ``keep``."""
        options = ["--keep"] if keep else []
        argv = [f"{JUPYTER}/bin/python", _CELL, *options, self.told["url"], code]
        return self.site.lab.host("client").run(argv, user=self.site.person.user, timeout=90).stdout

    def check_sockets(self, record: dict[str, Any]) -> None:
        """What listens while a kernel runs is what the route needs, and the kernel's own pipe."""
        node, route = self.node, self.told["route"]
        unix = [each for each in self.site.new_sockets() if each.port is None]
        open_ = [each for each in self.site.new_sockets() if each.port is not None]
        pipes = [each for each in open_ if (each.host, each.address) == (node, _LOOPBACK)]
        running = self.site.lab.host(node).processes(user=self.site.person.user)
        assert 0 < len(pipes) == sum("ipykernel_launcher" in argv for _pid, argv in running), open_
        allowed = {Socket("client", "ssh", _LOOPBACK, self.told["port"])}
        if route == "lan":
            allowed.add(Socket(node, "python", record["address"], record["port"]))
        assert set(open_) - set(pipes) == allowed
        paths = {(each.host, each.address) for each in unix}
        assert route == "lan" or (node, record["socket"]) in paths
        assert route != "reverse" or (record["login_host"], record["login_socket"]) in paths
        assert [each for each in unix if not self._is_private(each)] == []

    def check_doors(self) -> None:
        """Another user of each host finds no token there, and no socket of the session's lets her in."""
        token = self.told["url"].rpartition("?token=")[2]
        for host in self.site.lab.topology.hosts:
            seen = mallory.look(self.site.lab, host.name, {"token": token})
            assert seen.findings == ()
            assert [door for door in seen.doors if door.kind == "unix"] == []

    def _is_private(self, each: Socket) -> bool:
        """On the host's own disk, below a directory that is closed to others."""
        folders = [str(folder) for folder in Path(each.address).parents]
        modes = self.site.lab.host(each.host).run(["stat", "-c", "%a %U", *folders]).stdout.splitlines()
        return f"700 {self.site.person.user}" in modes and (each.host == "client" or "/home" not in folders)

    def check_pasted(self) -> None:
        """The commands that ``--explain`` printed, pasted into a shell."""
        client, user = self.site.lab.host("client"), self.site.person.user
        log_in, forward, page = (self._line(name) for name in ("Log in by hand", "Forward by hand", "Then open"))
        seen = client.run(["bash"], user=user, input=f"{log_in}\nhostname\n").stdout
        assert seen.splitlines()[-1] in laptop.hosts_of_cluster(self.site.lab.topology)
        token = self.told["url"].rpartition("?token=")[2]
        status = re.sub(r"/[a-z]+$", f"/api/status?token={token}", page)
        ask = ["curl", "-sSf", "--insecure", "--retry", "40", "--retry-connrefused", "--retry-delay", "1", status]
        with client.popen(["sh", "-c", forward], user=user) as ssh:
            assert "started" in json.loads(client.run(ask, user=user).stdout)
            ssh.interrupt()
            ssh.wait(timeout=10)

    def _line(self, name: str) -> str:
        found = re.search(rf"^{name}: +(.+)$", self.explained, re.MULTILINE)
        assert found, self.explained
        return found[1]


@contextlib.contextmanager
def up(topology: topologies.Topology, *, example: bool = True, **variables: Any) -> Iterator[Site]:
    """The site's lab with an account that was never used, in the inventory that the project ships as its example."""
    with laptop.up(f"{topology.name}-{os.getpid()}", topology=topology) as lab:
        person = laptop.Laptop(lab)
        (person.write_example if example else person.write_inventory)(**variables)
        for path in (_CELL, _TYPIST):
            source = laptop.ROOT / "tests" / Path(path).name
            lab.host("client").write(path, source.read_text(encoding="utf-8"))
        yield Site(person, frozenset(sockets(lab)), variables)


def sockets(lab: Lab) -> Iterator[Socket]:
    """What listens on every host."""
    for host in lab.topology.hosts:
        for each in lab.host(host.name).listeners():
            yield Socket(host.name, each.program, each.address, each.port)


def until_gone(lab: Lab, host: str, user: str, *, seconds: float = 20) -> None:
    """Wait until nothing of the user's runs on a host."""
    deadline = time.monotonic() + seconds
    while lab.host(host).processes(user=user):
        assert time.monotonic() < deadline, lab.host(host).processes(user=user)
        time.sleep(0.1)

"""What the tests put on a lab's hosts: hpc-jupyter on the laptop as its users install it, wheels on the cluster."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import yaml
from filelock import FileLock

from hpclab import Bind, Lab, LabError, topologies
from hpclab.host import RunningHost
from tests import artifacts, wheelhouse

ROOT = wheelhouse.ROOT
BUILD = ROOT / ".build" / "lab"
PREFIX = "/opt/hpc-jupyter"
JUPYTER = "/opt/jupyter"
WHEELS = "/opt/wheelhouse"
TOOLS = "/opt/tools"
BROWSER = "/usr/local/bin/browser-of-the-test"
EXISTING = ("-e", "jupyter_environment_kind=existing", "-e", f"jupyter_environment_path={JUPYTER}")
"""Options of ``setup`` for the JupyterLab that the cluster has already."""

COLLECTIONS = f"{PREFIX}/collections"
_COLLECTION_ALONE = os.environ.get("HPC_JUPYTER_CLIENT") == "tarball"
"""Whether the client gets the collection's tarball beside ansible-core, without the command."""
FOUND = {"ANSIBLE_COLLECTIONS_PATH": COLLECTIONS} if _COLLECTION_ALONE else {}
"""What the person's programs need in their environment to find the collection."""
_OLD_SECONDS = 3 * 3600
_RECAP = re.compile(r"^(\S+)\s+: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Install:
    """A virtual environment that is made inside a lab once, at the path it has there, and then kept."""

    kept: Path
    target: str
    wheels: str
    requirements: tuple[str, ...]
    then: tuple[str, ...] = ()

    @property
    def is_made(self) -> bool:
        """Whether an earlier lab has made it."""
        return (self.kept / "made").exists()

    def make(self, lab: Lab, host: str) -> None:
        """Install with uv, from the wheels alone."""
        inside, uv = lab.host(host), f"{TOOLS}/uv"
        inside.run([uv, "venv", "--clear", "--offline", "--python", "/usr/bin/python3", self.target], timeout=120)
        argv = [uv, "pip", "install", "--offline", "--no-index", "--no-cache", "--python", f"{self.target}/bin/python"]
        options = ["--compile-bytecode", "--no-deps", "--find-links", self.wheels]
        inside.run([*argv, *options, *self.requirements], timeout=300)
        if self.then:
            inside.run(self.then, timeout=120)
        (self.kept / "made").touch()


def up(name: str, *, topology: topologies.Topology = topologies.SLURM, binds: Sequence[Bind] = ()) -> Lab:
    """A lab whose client has hpc-jupyter and whose cluster has wheels and a JupyterLab at ``/opt/jupyter``.

    ``binds`` are what some hosts see besides.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILD / "lock", timeout=600):
        built, client_wheels = _artifact(), wheelhouse.wheelhouse(locks=wheelhouse.CLIENT)
        cluster = hosts_of_cluster(topology)
        installs = {"client": _client(built), cluster[0]: _jupyter()}
        binds = [
            *binds,
            Bind(source=str(installs["client"].kept), target=PREFIX, hosts=("client",), writable=True),
            Bind(source=str(installs[cluster[0]].kept), target=JUPYTER, hosts=("client", *cluster), writable=True),
            Bind(source=str(wheelhouse.wheelhouse()), target=WHEELS, hosts=cluster),
            Bind(source=str(client_wheels), target=WHEELS, hosts=("client",)),
            Bind(source=str(_tools(built)), target=TOOLS, hosts=("client", cluster[0])),
        ]
        lab = Lab.up(topology, name=name, binds=binds)
        try:
            for host, install in installs.items():
                if not install.is_made:
                    install.make(lab, host)
        except BaseException:
            lab.down()
            raise
        return lab


def hosts_of_cluster(topology: topologies.Topology) -> tuple[str, ...]:
    """Its login hosts, the one that a name leads to first, then its nodes; of several, one cluster after the other."""
    found: list[str] = []
    for cluster in topology.clusters:
        found += [host for name in cluster.login_hosts for host in topology.names.get(name, (name,))]
        found += cluster.scheduler.nodes if cluster.scheduler else ()
    return tuple(found)


def _tools(built: Path) -> Path:
    """What installs, and what is installed beside the wheels: the checkout itself may not be visible in a lab."""
    place = BUILD / "tools"
    place.mkdir(exist_ok=True)
    uv = Path(sys.executable).with_name("uv")
    for source in (uv, built, *wheelhouse.CLIENT, wheelhouse.JUPYTER[0]):
        shutil.copy(source, place)
    return place


def _artifact() -> Path:
    return artifacts.tarball(BUILD / "dist") if _COLLECTION_ALONE else artifacts.wheel(BUILD / "dist")


def _client(built: Path) -> Install:
    lock = wheelhouse.CLIENT[0]
    kept = _kept("client", built.read_bytes() + lock.read_bytes())
    packages = ("-r", f"{TOOLS}/{lock.name}")
    if not _COLLECTION_ALONE:
        return Install(kept, PREFIX, WHEELS, (*packages, f"{TOOLS}/{built.name}"))
    galaxy = (f"{PREFIX}/bin/ansible-galaxy", "collection", "install", "--offline", "-p", COLLECTIONS)
    return Install(kept, PREFIX, WHEELS, packages, then=(*galaxy, f"{TOOLS}/{built.name}"))


def _jupyter() -> Install:
    lock = wheelhouse.JUPYTER[0]
    return Install(_kept("jupyter", lock.read_bytes()), JUPYTER, WHEELS, ("-r", f"{TOOLS}/{lock.name}"))


def _kept(name: str, content: bytes) -> Path:
    place = BUILD / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"
    for old in BUILD.glob(f"{name}-*"):
        if old != place and time.time() - old.stat().st_mtime > _OLD_SECONDS:  # a younger one may be in use
            shutil.rmtree(old)
    place.mkdir(exist_ok=True)
    return place


@dataclass(frozen=True)
class Laptop:
    """One person at the lab's client, with an inventory of one account on the lab's cluster."""

    lab: Lab
    user: str = "alice"

    @property
    def account(self) -> str:
        """The account's name in the inventory."""
        return f"{self.user}@{self.cluster}"

    @property
    def cluster(self) -> str:
        """The cluster's name in the inventory."""
        return self.lab.topology.clusters[0].name

    @property
    def login(self) -> RunningHost:
        """The first login host."""
        return self.lab.host(hosts_of_cluster(self.lab.topology)[0])

    def write_inventory(self, **facts: Any) -> None:
        """An inventory like the one in the README; ``facts`` are variables of the cluster that differ."""
        known = self.lab.facts()
        cluster = {
            "hpc_gateways": [f"{self.user}@{host}" for host in known["gateways"]],
            "hpc_login_hosts": known["login_hosts"],
            "hpc_host_keys": known["host_keys"],
            "hpc_scheduler": known["scheduler"],
            **facts,
        }
        self._write_cluster(cluster)

    def write_example(self, **variables: Any) -> None:
        """The example of this cluster that the project ships, with this lab's fingerprints."""
        example = (ROOT / f"inventory/group_vars/{self.cluster}.yml").read_text(encoding="utf-8")
        keys = {"hpc_host_keys": self.lab.facts()["host_keys"]}
        self._write_cluster({**yaml.safe_load(example), **keys, **variables})

    def _write_cluster(self, variables: Mapping[str, Any]) -> None:
        self._write("inventory/hosts.yml", f"{self.cluster}:\n  hosts:\n    {self.account}:\n")
        self._write(f"inventory/group_vars/{self.cluster}.yml", yaml.safe_dump(dict(variables)))

    def _write(self, path: str, text: str) -> None:
        """A file that nobody else can read, as is demanded of one with a password."""
        self.lab.host("client").write(f"/home/{self.user}/{path}", text, owner=self.user, mode=0o600)
        for parent in list(Path(path).parents)[:-1]:
            self.lab.host("client").run(["chown", self.user, f"/home/{self.user}/{parent}"])

    def name_cluster(self, name: str, **variables: Any) -> None:
        """An account at the same hosts as on a second cluster; its name comes first."""
        facts = f"/home/{self.user}/inventory/group_vars/{self.cluster}.yml"
        known = yaml.safe_load(self.lab.host("client").read(facts))
        hosts = {each: {"hosts": {f"{self.user}@{each}": None}} for each in (name, self.cluster)}
        self._write("inventory/hosts.yml", yaml.safe_dump(hosts, sort_keys=False))
        self._write(f"inventory/group_vars/{name}.yml", yaml.safe_dump({**known, **variables}))

    def add_cluster(self, name: str, **variables: Any) -> None:
        """The same, set up like the first."""
        self.name_cluster(name, **variables)
        self.play("setup", "--limit", f"{self.user}@{name}", *EXISTING)

    def run(
        self,
        program: str,
        *arguments: str,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one of hpc-jupyter's programs as the person."""
        argv = [f"{PREFIX}/bin/{program}", *arguments]
        given = {**FOUND, **(env or {})}
        return self.lab.host("client").run(argv, user=self.user, check=check, timeout=timeout, env=given)

    def play(self, playbook: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """``ansible-playbook`` by the playbook's name, with the inventory."""
        return self.run("ansible-playbook", "-i", "inventory", f"hpc.jupyter.{playbook}", *arguments, check=check)

    def cli(self, *arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """``hpc-jupyter``, with the inventory."""
        return self.run("hpc-jupyter", "-i", "inventory", *arguments, check=check, timeout=timeout)

    @contextlib.contextmanager
    def connected(self, *arguments: str) -> Iterator[str]:
        """``hpc-jupyter`` in the foreground until its browser opens; gives what the browser was told to open."""
        client, told = self.lab.host("client"), f"/tmp/browser-of-{self.user}"
        client.run(["rm", "-f", told])
        client.write(BROWSER, f'#!/bin/sh\nprintf %s "$1" > {told}.new && mv {told}.new {told}\n', mode=0o755)
        argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", *arguments]
        with client.popen(argv, user=self.user, env={"BROWSER": BROWSER}, stdout=PIPE, stderr=STDOUT) as process:
            try:
                deadline = time.monotonic() + 90
                while not client.exists(told) and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.1)
                assert client.exists(told), process.communicate(timeout=10)[0]
                yield client.read(told)
            finally:
                with contextlib.suppress(LabError):  # it ends by itself where its session has ended
                    process.interrupt()
                process.communicate(timeout=30)

    def set_up(self) -> None:
        """Set the account up with the JupyterLab that the cluster has already; played once a lab, then copied."""
        login, saved = self.login, f"/srv/set-up-{self.user}"
        home = f"/home/{self.user}/.local"
        if not login.exists(saved):
            self.play("setup", *EXISTING)
            login.run(["cp", "-a", home, saved])
        else:
            login.run(["cp", "-aT", saved, home])

    def record(self, session: str = "default") -> dict[str, Any]:
        """The session's record, read on the cluster."""
        path = f"/home/{self.user}/.local/share/hpc-jupyter/{self.cluster}/sessions/{session}/record.json"
        content = json.loads(self.login.read(path))
        assert isinstance(content, dict)
        return content

    def listing(self) -> str:
        """Every file of the home directory on the cluster, with its mode and a hash of its content."""
        script = "find . -printf '%p %M %l\\n' | sort; find . -type f -exec sha256sum {} + | sort"
        return self.login.run(["sh", "-c", script], user=self.user).stdout

    def squeue(self, host: RunningHost | None = None) -> list[list[str]]:
        """The account's jobs, as ``host`` or else the first login host sees them: id, name, state, node."""
        argv = ["squeue", "--noheader", "--user", self.user, "--format", "%i|%j|%T|%N"]
        return [line.split("|") for line in (host or self.login).run(argv).stdout.splitlines()]


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks of a play changed something; the play must have ended well."""
    recap = _RECAP.findall(done.stdout)
    assert recap, done.stdout
    assert all(unreachable == failed == "0" for _host, _changed, unreachable, failed in recap), done.stdout
    return sum(int(count) for _host, count, _unreachable, _failed in recap)


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that failed as a user should see it fail: exit code not 0, no traceback."""
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    assert "Traceback" not in text, text
    return text

"""An admin's machine, three clusters that nobody can take for each other, and as many accounts as ACCOUNTS says."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import resource
import signal
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess

from hpclab import Lab
from hpclab.host import RunningHost
from hpclab.process import until
from hpclab.schedulers.slurm import Partition, Slurm
from hpclab.topology import Allow, Cluster, Home, Host, Topology, User
from tests.laptop import JUPYTER, PREFIX, Laptop

ACCOUNTS = max(3, int(os.environ.get("ACCOUNTS") or 100))
"""One on each cluster at least."""
FORKS = 20
LOGIN = {"ant": "login-ant", "bee": "login-bee", "cat": "login-cat"}
"""The login host of each cluster: with Slurm; behind a gateway; as plain as can be."""
GATE = "gate"
_ADMIN = User(name="admin", uid=2001, login_shell="/bin/bash", password="not needed 1")
_PEOPLE = tuple(
    User(name=f"p{number:03}", uid=2100 + number, login_shell="/bin/bash", password="not needed 2")
    for number in range(1, -(-ACCOUNTS // len(LOGIN)) + 1)
)
NAMES = tuple(f"{person.name}@{cluster}" for person in _PEOPLE for cluster in LOGIN)[:ACCOUNTS]
"""Every account; the last person may not have one on each cluster."""

_AS_EVER = {"MaxStartups": "10:30:100"}
"""As OpenSSH has it by itself: beyond ten that log in at once, some are turned away."""
_OUTSIDE, _BORDER = (Allow(network=network, ports=(22,)) for network in ("outside", "border"))
MANY = Topology(
    name="many",
    users=(_ADMIN, *_PEOPLE),
    homes=(Home(name="office", key=True), *(Home(name=name) for name in (GATE, *LOGIN))),
    hosts=(
        Host(name="client", networks=("outside",), home="office", sshd=None,
             allow=(Allow(network="outside", ports=()),)),
        Host(name=LOGIN["ant"], networks=("outside", "inside"), home="ant", sshd=_AS_EVER, allow=(_OUTSIDE,)),
        Host(name="node-ant", networks=("inside",), home="ant"),
        Host(name=GATE, networks=("outside", "border"), home=GATE, sshd=_AS_EVER, allow=(_OUTSIDE,)),
        Host(name=LOGIN["bee"], networks=("border",), home="bee", sshd=_AS_EVER, allow=(_BORDER,)),
        Host(name=LOGIN["cat"], networks=("outside",), home="cat", sshd=_AS_EVER, allow=(_OUTSIDE,)),
    ),
    clusters=(
        Cluster(
            name="ant", gateways=(), login_hosts=(LOGIN["ant"],),
            scheduler=Slurm(
                controller=LOGIN["ant"], submit=(LOGIN["ant"],),
                partitions=(Partition(name="main", nodes=("node-ant",), default=True),),
            ),
        ),
        Cluster(name="bee", gateways=(GATE,), login_hosts=(LOGIN["bee"],)),
        Cluster(name="cat", gateways=(), login_hosts=(LOGIN["cat"],)),
    ),
)  # fmt: skip

FILE = "lab.accounts.yml"
_AS_NEW = "/srv/homes"
_LET_IN = f"""\
for home in /home/p*; do
    name=${{home##*/}}
    install -d -m 700 -o "$name" -g "$name" "$home/.ssh"
    install -m 600 -o "$name" -g "$name" /srv/key.pub "$home/.ssh/authorized_keys"
done
cp -a /home {_AS_NEW}
"""
_RENEW = f"find /home -mindepth 1 -maxdepth 1 -exec rm -rf {{}} + && cp -a {_AS_NEW}/. /home/"
_ROW = re.compile(r'^ +"(\S+@\S+) +(done|already done|failed|removed|needs its owner)  +(.*?)",?$', re.MULTILINE)
_FRESH = ("key.pem", "cert.pem", "reverse_key", "reverse_key.pub")
"""What is another one in every account: keys, their certificates, times."""
_KEY = re.compile(rb"AAAA\S+(?= hpc-jupyter-reverse)")
_QUIET_SECONDS = 120
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    result: str
    told: str


@dataclass(frozen=True)
class Played:
    """A playbook that has ended, and what it took: seconds, and those of processors here and on the clusters."""

    done: CompletedProcess[str]
    seconds: float
    here: float
    there: float

    @property
    def rows(self) -> Mapping[str, Row]:
        """The table."""
        return {account: Row(result, told) for account, result, told in _ROW.findall(self.done.stdout)}


@dataclass(frozen=True)
class Office:
    """The admin, who may enter every account."""

    person: Laptop

    @property
    def lab(self) -> Lab:
        """The lab."""
        return self.person.lab

    @property
    def client(self) -> RunningHost:
        """The admin's machine."""
        return self.lab.host("client")

    def furnish(self) -> None:
        """An accounts file here; there, accounts as they are on their first day, kept aside for ``renew``."""
        self.client.write(f"/home/admin/{FILE}", json.dumps(self._accounts(), indent=1), owner="admin")
        self.client.run(["cp", "-a", "/home", _AS_NEW])
        key = self.client.read("/home/admin/.ssh/id_ed25519.pub")
        for name in (GATE, *LOGIN.values()):
            self.lab.host(name).write("/srv/key.pub", key)
            self.lab.host(name).run(["sh", "-ec", _LET_IN])

    def _accounts(self) -> dict[str, object]:
        """JSON is YAML."""
        people: dict[str, dict[str, list[str]]] = {}
        for name in NAMES:
            person, _at, cluster = name.partition("@")
            people.setdefault(person, {"accounts": [], "keys": [_public_key(person)]})["accounts"].append(cluster)
        clusters = {name: self._facts(name) for name in LOGIN}
        return {"plugin": "hpc.jupyter.accounts", "clusters": clusters, "people": people}

    def _facts(self, cluster: str) -> dict[str, object]:
        known = self.lab.facts(cluster)
        return {
            **{f"hpc_{name}": known[name] for name in ("gateways", "login_hosts", "host_keys", "scheduler")},
            "jupyter_environment_kind": "existing", "jupyter_environment_path": JUPYTER,
        }  # fmt: skip

    def renew(self) -> None:
        """Every home as on the first day; whatever ran for any of them has ended."""
        self.client.kill_all("admin")
        until(self._is_quiet, what="end of what runs in the accounts", seconds=_QUIET_SECONDS)
        for name in ("client", GATE, *LOGIN.values()):
            self.lab.host(name).run(["sh", "-c", _RENEW])

    def _is_quiet(self) -> bool:
        return not any(self._run_there(self.lab.host(name)) for name in (GATE, *LOGIN.values()))

    @staticmethod
    def _run_there(host: RunningHost) -> list[Path]:
        own = {person.uid for person in _PEOPLE}
        found = []
        for process in (host.root / "proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                found += [process] if process.stat().st_uid in own else []
        return found

    def play(self, playbook: str, *arguments: str) -> Played:
        """Play one of ours for the whole file, or what ``--limit`` says."""
        return self.play_any(f"hpc.jupyter.{playbook}", *arguments)

    def play_any(self, playbook: str, *arguments: str) -> Played:
        """The same with any playbook."""
        before, began = self._cpu(), time.monotonic()
        argv = ["-i", FILE, "-f", str(FORKS), playbook, *arguments]
        done = self.person.run("ansible-playbook", *argv, check=False, timeout=300 + 60 * ACCOUNTS)
        here, there = (after - earlier for after, earlier in zip(self._cpu(), before, strict=True))
        return Played(done, time.monotonic() - began, here, there)

    def _cpu(self) -> tuple[float, float]:
        """Of what we have started and of what that has left running, then of all hosts of the clusters."""
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        hosts = [self.lab.host(host.name) for host in MANY.hosts if host.name != "client"]
        return own.ru_utime + own.ru_stime + _used(self.client), sum(map(_used, hosts))

    def kill_in(self, task: str, *, after: int, everything: bool) -> None:
        """Begin ``onboard``, and kill it once so many accounts have passed ``task``.

        ``everything`` is what ends with the machine; else it is the process group of Ansible, whose workers are in
        sessions of their own and finish what they are at. Some accounts have not begun with the task by then.
        """
        forks = str(min(FORKS, max(1, ACCOUNTS // 3)))
        argv = [f"{PREFIX}/bin/ansible-playbook", "-i", FILE, "-f", forks, "hpc.jupyter.onboard"]
        with self.client.popen(argv, user="admin", stdout=PIPE, stderr=STDOUT) as program:
            assert program.stdout
            number, told = program.program.pid, list[str]()
            for line in program.stdout:
                told.append(line)
                if _passed(told, task) >= after:
                    os.killpg(number, signal.SIGKILL)
                    break
            else:
                raise AssertionError("".join(told))
        if everything:
            self.client.kill_all("admin")

    @contextlib.contextmanager
    def without_sshd(self, name: str) -> Iterator[None]:
        """A host on which sshd has ended, with all that had come in through it."""
        host = self.lab.host(name)
        pids = [str(pid) for pid, argv in host.processes() if argv[0].split(":")[0].split("/")[-1] == "sshd"]
        host.run(["kill", "-KILL", *pids])
        try:
            yield
        finally:
            host.run(["/usr/sbin/sshd"])

    def homes(self, *, exact: bool) -> dict[str, str]:
        """Every file of the accounts: whose, mode, and a hash of its content, or where it leads.

        Unless ``exact``, nothing of those that are made afresh for every account.
        """
        places = {name: self.lab.host(name).root / "home" for name in (GATE, *LOGIN.values())}
        places["client"] = self.client.root / "home/admin/.ssh"
        return {
            f"{name}:{path.relative_to(place)}": _told(path, exact=exact)
            for name, place in places.items()
            for path in _below(place)
        }


def _public_key(person: str) -> str:
    """One that opens nothing: nobody has its private part."""
    parts = (b"ssh-ed25519", hashlib.sha256(person.encode()).digest())
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {person}@home"


def _passed(lines: Sequence[str], task: str) -> int:
    """How many accounts are through the task; those that are further on count as well."""
    heads = [number for number, line in enumerate(lines) if line.startswith("TASK [") and task in line]
    return sum(line.startswith(("ok:", "changed:")) for line in lines[heads[0] :]) if heads else 0


def _used(host: RunningHost) -> float:
    """Seconds of processors that a host's processes have used, with those of theirs that have ended."""
    ticks = 0
    for process in (host.root / "proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / _TICKS


def _below(place: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(place):
        yield from (Path(directory, name) for name in (*folders, *files))


def _told(path: Path, *, exact: bool) -> str:
    about = path.lstat()
    head = f"{stat.filemode(about.st_mode)} {about.st_uid}"
    if stat.S_ISLNK(about.st_mode):
        return f"{head} -> {path.readlink()}"
    if not stat.S_ISREG(about.st_mode) or (not exact and _is_fresh(path)):
        return head
    content = path.read_bytes()
    return f"{head} {hashlib.sha256(content if exact else _KEY.sub(b'KEY', content)).hexdigest()}"


def _is_fresh(path: Path) -> bool:
    """Which of a cluster's accounts has its name for ssh is whichever came first."""
    return path.name in _FRESH or path.parts[-2:] == ("hpc-jupyter", "config")

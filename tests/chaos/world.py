"""Sessions on two clusters, and what is true of them, whoever says what."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from subprocess import PIPE, STDOUT
from typing import Any

import yaml

from hpclab import Lab, LabError
from hpclab.host import Inside, RunningHost
from hpclab.process import until
from tests.laptop import EXISTING, PREFIX, Laptop

LAB, BENCH = "lab", "bench"
"""The lab's Slurm, and a host of the same home on which sessions start without a scheduler."""
LOGIN = {LAB: "login1", BENCH: "login2"}
HOSTS = ("client", "gate", "login1", "login2", "ctl", "c1", "c2", "g1")
TIME = "4:00:00"
"""What sessions ask for: no run lasts as long."""
CLOCK = "/srv/clock"
"""A file with so many seconds as the host's clock is ahead."""
TRUE_WITHIN = 30.0
"""How long what is shown may differ from what is true."""
_SITE = f"""\
import time
def ahead():
    try:
        with open("{CLOCK}") as stream:
            return float(stream.read())
    except (OSError, ValueError):
        return 0.0
def shift(now, unit):
    return lambda: now() + unit(ahead())
time.time, time.time_ns = shift(time.time, float), shift(time.time_ns, lambda ahead: int(ahead * 10**9))
"""
"""What every Python of a host runs first. The kernel's clock is the machine's own, which nobody may touch."""
_MODES = "find {} -mindepth 1 -type f -not -name '*.pub'  -printf '%m %p\\n' -o -type d -printf '%m %p/\\n'"


@dataclass(frozen=True)
class Session:
    """A session of alice's."""

    cluster: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} of {self.account}"

    @property
    def account(self) -> str:
        """The account's name in the inventory."""
        return f"alice@{self.cluster}"

    @property
    def root(self) -> str:
        """The account's directory on the cluster."""
        return f"/home/alice/.local/share/hpc-jupyter/{self.cluster}"

    @property
    def directory(self) -> str:
        """Where its record is."""
        return f"{self.root}/sessions/{self.name}"


@dataclass
class World:
    """The lab, and what was done in it; ``urls`` are the local addresses that the laptop was given."""

    person: Laptop
    sessions: tuple[Session, ...]
    urls: dict[Session, str] = field(default_factory=dict)

    @property
    def lab(self) -> Lab:
        """The lab."""
        return self.person.lab

    @property
    def client(self) -> RunningHost:
        """The laptop."""
        return self.lab.host("client")

    def login(self, session: Session) -> RunningHost:
        """The login host of the session's cluster."""
        return self.lab.host(LOGIN[session.cluster])

    def on_the_way(self, name: str, session: Session) -> RunningHost:
        """A host by its name, the cluster's ``login`` host, or the ``node`` on which the session is or may be."""
        login = LOGIN[session.cluster]
        node = self.record(session).get("node") or {LAB: "c1"}.get(session.cluster, login)
        return self.lab.host({"login": login, "node": node}.get(name, name))

    @contextlib.contextmanager
    def clocks(self) -> Iterator[None]:
        """Hosts whose time of day can be another one."""
        where = self.client.run(["python3", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]).stdout
        site = f"{where.strip()}/sitecustomize.py"
        for name in HOSTS:
            self.lab.host(name).write(site, _SITE)
        try:
            yield
        finally:
            for name in HOSTS:
                self.lab.host(name).run(["rm", site])

    def set_up(self) -> None:
        """Both accounts, in one inventory."""
        self.person.set_up()
        known = self.lab.facts()
        bench = {
            "hpc_gateways": [f"alice@{host}" for host in known["gateways"]], "hpc_login_hosts": [LOGIN[BENCH]],
            "hpc_host_keys": known["host_keys"], "hpc_scheduler": "none",
        }  # fmt: skip
        hosts = {LAB: {"hosts": {"alice@lab": None}}, BENCH: {"hosts": {"alice@bench": None}}}
        for path, content in (("hosts", hosts), (f"group_vars/{BENCH}", bench)):
            self.client.write(f"/home/alice/inventory/{path}.yml", yaml.safe_dump(content), owner="alice")
        self.person.play("setup", "--limit", "alice@bench", *EXISTING)

    def argv(self, verb: str, session: Session) -> list[str]:
        """What a person would type."""
        options = ["--session", session.name]
        if verb in ("launch", "connect"):
            options += ["--detach", "--no-browser", "--json"]
        if verb == "launch":
            options += ["--time", TIME]
        if verb == "status":
            options = ["--json"]
        return [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", verb, session.account, *options]

    def begin(self, verb: str, session: Session) -> Inside:
        """Type it, and go on."""
        return self.client.popen(self.argv(verb, session), user="alice", stdout=PIPE, stderr=STDOUT)

    def run(self, verb: str, session: Session, *, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Type it, and wait."""
        done = self.client.run(self.argv(verb, session), user="alice", check=False, timeout=seconds)
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    def record(self, session: Session) -> dict[str, Any]:
        """The record; empty if there is none that can be read."""
        with contextlib.suppress(LabError, ValueError):
            content = json.loads(self.login(session).read(f"{session.directory}/record.json"))
            return content if isinstance(content, dict) else {}
        return {}

    def await_age(self, session: Session, *, seconds: float) -> None:
        """Wait until the session's job, if it has one, runs for so long."""
        until(lambda: _age(self.record(session)) >= seconds, what=f"{seconds:g} s of {session}", seconds=2 * seconds)

    def jobs(self, session: Session) -> list[str]:
        """The session's jobs: their ids, or the supervisors' processes where there is no scheduler."""
        if session.cluster == BENCH:
            wanted = ["supervise", session.directory]
            return [str(pid) for pid, argv in self.login(session).processes(user="alice") if argv[-3:-1] == wanted]
        argv = ["squeue", "--noheader", "--user", "alice", "--format", "%i|%j|%T"]
        rows = [row.split("|") for row in self.login(session).run(argv, timeout=60).stdout.splitlines()]
        mine = [row for row in rows if row[1].startswith(f"hpc-jupyter-{session.name}-")]
        return [job for job, _name, state in mine if state != "COMPLETING"]

    def shown(self, session: Session) -> dict[str, Any]:
        """What the account's own command shows; empty where there is nothing to show."""
        argv = [f"{session.root}/hpc-session", "status", "--json", "--session", session.name]
        done = self.login(session).run(argv, user="alice", check=False, timeout=90)
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode:
            return {}
        [seen] = json.loads(done.stdout)
        assert isinstance(seen, dict)
        return seen

    def answers(self, session: Session) -> bool:
        """Whether the session's own server answers on its node."""
        record = self.record(session)
        if not record.get("socket"):
            return False
        node = next(host for host in HOSTS if host == record["node"].partition(".")[0])
        url = f"http://localhost{record['base_url']}api/status"
        return self._status(self.lab.host(node), url, self.token(session), f"unix-socket = {record['socket']}") == "200"

    def reached(self, session: Session) -> bool:
        """Whether it answers at the address that the laptop was given for it."""
        address, _, token = self.urls[session].rpartition("?token=")
        return self._status(self.client, re.sub(r"/[a-z]+$", "/api/status", address), token) == "200"

    def token(self, session: Session) -> str:
        """The session's token."""
        return self.login(session).read(f"{session.directory}/token")

    def secrets(self) -> dict[str, str | bytes]:
        """What nobody else may ever see."""
        found: dict[str, str | bytes] = {}
        for session in self.sessions:
            for name in ("token", "cookie_secret"):
                argv = ["base64", "-w0", f"{session.directory}/{name}"]
                done = self.login(session).run(argv, check=False)
                if done.returncode == 0 and len(done.stdout) > 16:
                    found[f"{name} of {session}"] = base64.b64decode(done.stdout)
        return found

    def open_files(self) -> list[str]:
        """Files and directories of the sessions' state that others can look into, and files that are no JSON."""
        found = []
        for host, place in (("client", "/home/alice/.local/state/hpc-jupyter"), *self._places()):
            listed = self.lab.host(host).run(["sh", "-c", _MODES.format(shlex.quote(place))], user="alice").stdout
            wrong = [line for line in listed.splitlines() if line.split()[0] != ("700" if line[-1] == "/" else "600")]
            found += [f"{host}: {line}" for line in wrong]
            names = [line.split(maxsplit=1)[1] for line in listed.splitlines() if line.endswith(".json")]
            found += [f"{host}: {name} is no JSON" for name in names if not self._is_json(host, name)]
        return found

    def _places(self) -> set[tuple[str, str]]:
        return {(LOGIN[session.cluster], f"{session.root}/sessions") for session in self.sessions}

    def _is_json(self, host: str, path: str) -> bool:
        try:
            json.loads(self.lab.host(host).read(path))
        except (LabError, ValueError):
            # Replaced meanwhile, if it is whole the second time.
            done = self.lab.host(host).run(["cat", path], check=False)
            with contextlib.suppress(ValueError):
                return done.returncode != 0 or json.loads(done.stdout) is not None
            return False
        return True

    def _status(self, host: RunningHost, url: str, token: str, *further: str) -> str:
        """The token is not on the command line, where everybody could read it."""
        options = [f'header = "Authorization: token {token}"', 'write-out = "%{http_code}"', f'url = "{url}"', *further]
        argv = ["curl", "--silent", "--output", "/dev/null", "--max-time", "10", "--config", "-"]
        return host.run(argv, user="alice", check=False, input="\n".join([*options, ""])).stdout

    def disagreements(self, *sessions: Session) -> list[str]:
        """Where what is shown differs from what is true; two jobs are too many at any moment."""
        found = []
        for session in sessions or self.sessions:
            jobs, shown, answers = self.jobs(session), self.shown(session), self.answers(session)
            assert len(jobs) < 2, f"{session} has jobs {jobs}"
            state = shown.get("state", "")
            told = f"{session}: shown as {state or 'nothing'}, answers: {answers}, jobs: {jobs}"
            fits = {"ready": answers, "ended": not jobs, "": not jobs}.get(state, not answers)
            found += [] if fits else [told]
        return found

    def agree(self, *sessions: Session) -> None:
        """Wait until all that is shown is true."""
        last: list[str] = []

        def look() -> bool:
            last[:] = self.disagreements(*sessions)
            return not last

        try:
            until(look, what="truth", seconds=TRUE_WITHIN)
        except LabError:
            raise AssertionError(f"not true after {TRUE_WITHIN:g} s: {last}") from None

    def left(self) -> list[str]:
        """What is left of alice's sessions anywhere, once all are stopped and the login has been ended."""
        found = [f"{session}: jobs {jobs}" for session in self.sessions if (jobs := self.jobs(session))]
        for name in HOSTS:
            host = self.lab.host(name)
            found += [f"{name}: process {' '.join(argv)}" for _pid, argv in host.processes(user="alice")]
            places = ["/tmp", "/var/tmp", "/dev/shm", "/run"]
            listed = host.run(["find", *places, "-user", "alice", "-not", "-name", "browser-of-*"], check=False).stdout
            found += [f"{name}: {path}" for path in listed.splitlines()]
        sockets = self.client.run(["find", "/home/alice", "-type", "s"], check=False).stdout
        return [*found, *(f"client: socket {path}" for path in sockets.splitlines())]


def _age(record: Mapping[str, Any]) -> float:
    """How long a job runs by its record; for ever, where none does."""
    started = str(record.get("started_at") or "2000-01-01T00:00:00Z")
    return time.time() - datetime.fromisoformat(started).timestamp()

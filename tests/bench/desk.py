"""The bench's laptop and cluster: everybody's turn begins on the same idle cluster, and is timed on the laptop."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab import Lab
from hpclab.process import until
from tests.laptop import EXISTING, PREFIX, ROOT, Laptop

PROGRAMS = Path(__file__).with_name("programs")
PEER = "/opt/peer"
HOPS = ("gate", "login1", "login2", "c1", "c2")
PORT = 18888
"""The local port of those that do not choose one themselves."""
SECONDS = 180.0
_LOGIN = re.compile(r"^Accepted \w+ for ", re.MULTILINE)
_EXECUTION = re.compile(r"^Starting session: (?:command|forced-command|subsystem|shell)", re.MULTILINE)
_PEER_TOKEN = secrets.token_hex(24)
_PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - hpc.jupyter.connect:
"""
_SSH_CONFIG = """\
Host login login1 login2
    ProxyJump gate
Host c1 c2
    ProxyJump login
"""


def own_play(person: Laptop, tasks: str) -> str:
    """Lay a playbook that connects and then has these tasks; its path, from the person's home directory."""
    variables = (ROOT / "playbooks/group_vars/all.yml").read_text(encoding="utf-8")
    for path, text in (("play", f"{_PLAY}{tasks}"), ("group_vars/all", variables)):
        person.lab.host("client").write(f"/home/{person.user}/play/{path}.yml", text)
    return "play/play.yml"


@dataclass(frozen=True)
class Timed:
    """What a command took, and the lines that it printed, each with the seconds after which it came."""

    seconds: float
    since: float
    url: str
    lines: Sequence[tuple[float, str]]

    def at(self, beginning: str) -> float:
        """When the line that begins so came."""
        return next(seconds for seconds, line in self.lines if line.startswith(beginning))


@dataclass(frozen=True)
class Visits:
    """What the cluster's sshd noted, host by host: logins, and commands that were begun."""

    logins: Mapping[str, int]
    executions: Mapping[str, int]


@dataclass(frozen=True)
class Desk:
    """Alice at the lab's laptop."""

    person: Laptop

    @property
    def lab(self) -> Lab:
        """The lab."""
        return self.person.lab

    def furnish(self) -> None:
        """Lay the yardsticks and what times them where they are run."""
        for path in PROGRAMS.iterdir():
            text = path.read_text(encoding="utf-8").replace("@token@", _PEER_TOKEN)
            self.lab.host("client").write(f"/srv/bench/{path.name}", text, mode=0o755)
            for host in HOPS[1:]:
                target = "/usr/local/bin/activate" if path.name == "activate.sh" else f"/srv/bench/{path.name}"
                self.lab.host(host).write(target, text, mode=0o755)

    def clear(self, *, set_up: bool = True) -> None:
        """No connection, no job, no session; the account is set up, or as on its first day."""
        self.lab.clean_account("alice")
        self.person.write_inventory()
        if set_up:
            self.person.set_up()
            self.stop_holders()  # the first time it is really played, over a connection that stays open
        client = self.lab.host("client")
        client.write("/home/alice/.ssh/known_hosts", self.lab.known_hosts(), owner="alice", mode=0o600)
        client.write("/home/alice/.ssh/config", _SSH_CONFIG, owner="alice", mode=0o600)

    def ours(self, verb: str, *arguments: str) -> list[str]:
        """A command of ours, as it is typed."""
        return [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", verb, *arguments]

    def playbook(self, name: str, *arguments: str) -> list[str]:
        """A playbook of ours, as it is typed."""
        return [f"{PREFIX}/bin/ansible-playbook", "-i", "inventory", name, *arguments]

    def set_up_anew(self) -> list[str]:
        """The playbook that has nothing to do, as it is typed."""
        return self.playbook("hpc.jupyter.onboard", *EXISTING)

    def peer(self) -> Timed:
        """The peer, to the moment from which its forward could be used."""
        argv = [f"{PEER}/bin/jupyter-forward", "login", "--port", str(PORT), "--conda-env", "bench"]
        url = f"http://127.0.0.1:{PORT}/lab?token={_PEER_TOKEN}"
        return self.answered([*argv, "--launch-command", "sbatch"], url=url, env={"BROWSER": "/bin/true"})

    def floor(self) -> Timed:
        """The floor, to its first answer."""
        return self.answered(["/srv/bench/floor.sh", str(PORT)])

    def by_hand(self) -> Timed:
        """The guides' steps, to their first answer."""
        return self.answered(["/srv/bench/by_hand.sh", str(PORT)])

    def answered(self, argv: Sequence[str], *, url: str = "", env: Mapping[str, str] | None = None) -> Timed:
        """Time a command to the first authenticated answer through its forward; then it is ended."""
        return self._timed(argv, until="answer", url=url, env=dict(env or {}))

    def ended(self, argv: Sequence[str], *, seconds: float = SECONDS) -> Timed:
        """Time a command to its end, which must be a good one."""
        return self._timed(argv, until="exit", seconds=seconds)

    def _timed(self, argv: Sequence[str], *, seconds: float = SECONDS, **options: Any) -> Timed:
        wanted = {"argv": list(argv), "seconds": seconds, "env": {}, **options}
        told = self._program("timed", wanted, seconds=seconds + 60)
        text = "\n".join(line for _seconds, line in told["lines"])
        if not told.pop("ok"):
            raise AssertionError(f"{' '.join(argv)}: no good end after {told['seconds']:.0f} s\n{text}")
        return Timed(**told)

    def await_answer(self, url: str) -> None:
        """Wait until a server answers at ``url``, which has the token."""
        self._timed(["sleep", str(SECONDS)], until="answer", url=url)

    def load(self, url: str, path: str, *, requests: int, size: int = 0) -> float:
        """The seconds that downloads from a server at ``url`` take."""
        wanted = {"url": url, "path": path, "requests": requests, "size": size}
        return float(self._program("load", wanted, seconds=300))

    def _program(self, name: str, wanted: Mapping[str, Any], *, seconds: float) -> Any:
        argv = ["/usr/bin/python3", "-I", f"/srv/bench/{name}.py"]
        done = self.lab.host("client").run(argv, user="alice", input=json.dumps(wanted), timeout=seconds)
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def visits(self) -> Iterator[list[Visits]]:
        """Count what happens meanwhile; the list has it afterwards."""
        before = {host: len(self.log(host)) for host in HOPS}
        counted: list[Visits] = []
        yield counted
        new = {host: self.log(host)[before[host] :] for host in HOPS}
        counted.append(
            Visits(
                {host: len(_LOGIN.findall(text)) for host, text in new.items()},
                {host: len(_EXECUTION.findall(text)) for host, text in new.items()},
            )
        )

    def log(self, host: str) -> str:
        """What a host's sshd has said."""
        return (self.lab.host(host).root / "var/log/sshd.log").read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def master(self) -> Iterator[str]:
        """A plain connection to the login host that is open already; its control socket."""
        control, client = "/tmp/plain-master", self.lab.host("client")
        argv = ["ssh", "-M", "-S", control, "-o", "ControlPersist=yes", "-fN", "login"]
        client.run(argv, user="alice")
        try:
            yield control
        finally:
            client.run(["ssh", "-S", control, "-O", "exit", "login"], user="alice", check=False)

    def plain(self, record: Mapping[str, Any], *, port: int = PORT, control: str = "") -> list[str]:
        """Plain ``ssh -L`` to a session's socket, by the same hops; through ``control`` if that is open."""
        through = ["-o", f"ProxyCommand=ssh -S {control} -W %h:%p login"] if control else []
        listen = f"127.0.0.1:{port}:{record['socket']}"
        return ["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *through, "-L", listen, str(record["node"])]

    def url(self, record: Mapping[str, Any], *, port: int = PORT) -> str:
        """The address of a session whose socket is forwarded to ``port``, with its token."""
        root = f"/home/alice/.local/share/hpc-jupyter/lab/sessions/{record['session']}"
        return f"http://127.0.0.1:{port}{record['base_url']}lab?token={self.person.login.read(f'{root}/token')}"

    def detached(self, verb: str = "launch", *arguments: str) -> dict[str, Any]:
        """``launch --detach``: what it tells."""
        options = ("--detach", "--json", "--no-browser", *arguments)
        told: dict[str, Any] = json.loads(self.person.cli(verb, "alice@lab", *options, timeout=SECONDS).stdout)
        return told

    def stop_holders(self) -> None:
        """End what the laptop runs, connections included."""
        client = self.lab.host("client")
        until(lambda: not client.kill_all("alice"), what="end of what alice runs", seconds=20)

"""Bringing the namespaces of a lab into being."""

import json
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import LabError
from .plan import Plan, Site, host_plan, hub_plan, link_commands
from .process import Process, call, until
from .skeleton import make_homes
from .state import State

_INIT = Path(__file__).with_name("init.py")
_PYTHON = "/usr/bin/python3"  # the machine's own, which the hosts have too
_ANSWER_SECONDS = 30.0
_HOST = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
_HUB = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


class Starting:
    """A namespace on its way: told its plan, asked how it went."""

    def __init__(self, name: str, argv: Sequence[str], *, log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [*argv, _PYTHON, "-I", "-S", str(_INIT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )

    @property
    def popen(self) -> subprocess.Popen[str]:
        return self._process

    def init(self, *, depth: int) -> Process:
        """PID 1, which is so many children below what we started."""
        self._expect("hello")
        process = Process.of(self._process.pid)
        for _ in range(depth):
            process = until(process.only_child, what=f"PID 1 of {self.name}")
        return process

    def tell(self, plan: Plan) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.close()

    def wait_ready(self) -> None:
        self._expect("ready")
        assert self._process.stdout
        self._process.stdout.close()

    def _expect(self, word: str) -> None:
        stdout = self._process.stdout
        assert stdout
        if not select.select([stdout], [], [], _ANSWER_SECONDS)[0]:
            raise LabError(f"{self.name}: no answer within {_ANSWER_SECONDS:g} s")
        line = stdout.readline()
        answer = json.loads(line) if line else f"ended at its start\n{self._log.read_text()}"
        if answer != word:
            raise LabError(f"{self.name}: {answer}")


def build(site: Site, state: State, started: list[subprocess.Popen[str]]) -> State:
    """All hosts up with their daemons; the state that says how to end them is saved before they do anything.

    What was started is noted in `started`, also when building fails.
    """
    hub = Starting("hub", _HUB, log=state.directory / "hub.log")
    started.append(hub.popen)
    first = hub.init(depth=1)
    state = state.save(hub=first)
    hub.tell(hub_plan(site))
    hub.wait_ready()
    make_homes(site.topology, site.keys, disk_of(state) / "homes")
    hosts = {host.name: _start(host.name, state) for host in site.topology.hosts}
    started += [starting.popen for starting in hosts.values()]
    state = state.save(hosts={name: host.init(depth=2) for name, host in hosts.items()})
    batch(first, link_commands(site, {name: init.pid for name, init in state.hosts.items()}))
    _configure(site, hosts)
    return state


def disk_of(state: State) -> Path:
    """The lab's memory disk; it is mounted in the hub's namespace only."""
    assert state.hub
    return Path(f"/proc/{state.hub.pid}/root{state.directory}/disk")


def batch(hub: Process, commands: Sequence[str]) -> None:
    """Runs `ip` commands among the hub's switches."""
    text = "".join(command + "\n" for command in commands)
    call(["nsenter", "--target", str(hub.pid), "--net", "ip", "-batch", "-"], text=text)


def _start(name: str, state: State) -> Starting:
    """Below the hub's PID 1, so that its end is the host's."""
    assert state.hub
    enter = ["nsenter", "--target", str(state.hub.pid), "--mount", "--pid"]
    return Starting(name, [*enter, *_HOST], log=state.directory / f"host-{name}.log")


def _configure(site: Site, hosts: Mapping[str, Starting]) -> None:
    for host in site.topology.hosts:
        hosts[host.name].tell(host_plan(host, site))
    for starting in hosts.values():
        starting.wait_ready()

"""The faults of the chaos run: each a small function, entered to strike and left to take it back."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from hpclab.host import RunningHost
from hpclab.process import until
from tests.chaos.world import BENCH, LAB, LOGIN, Session, World

_BOTH = (LAB, BENCH)
_HOLDER = r"hpc_jupyter .*\bhold\b"
_MASTER = r"^ssh: .*\[mux\]|ControlMaster=yes"
_FORWARD = r"^ssh .* -L "
_JUMP = r"^ssh .* -W "

Act = Callable[[World, Session, random.Random], AbstractContextManager[object]]


@dataclass(frozen=True)
class Strike:
    """A fault: after it the same job runs (``lives``), the same local address answers by itself (``heals``).

    ``seconds`` is how long it lasts; ``busy`` ones strike only while a command runs.
    """

    name: str
    act: Act
    lives: bool = True
    heals: bool = True
    seconds: tuple[float, float] = (0.0, 0.0)
    clusters: tuple[str, ...] = _BOTH
    busy: bool = False


@contextmanager
def cut(world: World, session: Session, dice: random.Random) -> Iterator[str]:
    """The cables of one host on the way."""
    ways = ["client", "gate", LOGIN[session.cluster], world.record(session).get("node") or "c1"]
    host = dice.choice(ways)
    world.lab.cut(host)
    try:
        yield host
    finally:
        world.lab.heal(host)


def _signalled(name: str, pattern: str, user: str) -> Act:
    @contextmanager
    def act(world: World, session: Session, dice: random.Random) -> Iterator[None]:
        host = world.lab.host({"login": LOGIN[session.cluster]}.get(name, name))
        _signal(host, pattern, "STOP", user=user)
        try:
            yield
        finally:
            _signal(host, pattern, "CONT", user=user)

    return act


def _killed(name: str, pattern: str) -> Act:
    @contextmanager
    def act(world: World, session: Session, dice: random.Random) -> Iterator[int]:
        hosts = {"login": LOGIN[session.cluster], "node": world.record(session).get("node") or LOGIN[session.cluster]}
        wanted = pattern.format(account=re.escape(session.account), session=session.name, directory=session.directory)
        yield _signal(world.lab.host(hosts.get(name, name)), wanted, "KILL", user="alice")

    return act


def _signal(host: RunningHost, pattern: str, signal: str, *, user: str) -> int:
    found = [str(pid) for pid, argv in host.processes(user=user) if re.search(pattern, " ".join(argv))]
    if found:
        host.run(["kill", f"-{signal}", *found], check=False)
    return len(found)


@contextmanager
def scancel(world: World, session: Session, dice: random.Random) -> Iterator[None]:
    """By somebody who may: not through us."""
    for job in world.jobs(session):
        world.lab.host("ctl").run(["scancel", job])
    until(lambda: not world.jobs(session), what="end of the job", seconds=60)
    yield


@contextmanager
def requeue(world: World, session: Session, dice: random.Random) -> Iterator[None]:
    """Slurm makes it wait two minutes, unless it is told not to; a stop meanwhile ends it for good."""
    before, ctl = world.record(session).get("started_at"), world.lab.host("ctl")
    job = "".join(world.jobs(session)[:1])

    def state() -> str:
        """Empty once it neither runs, nor waits, nor is cleaned up after."""
        return ctl.run(["squeue", "--noheader", "--jobs", job, "--format", "%T"], check=False).stdout.strip()

    def is_again() -> bool:
        if state() == "PENDING":
            ctl.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=False)
        return not state() or world.record(session).get("started_at") != before

    ctl.run(["scontrol", "requeue", job], check=False)
    yield
    until(lambda: not job or is_again(), what="the next start, or the end", seconds=120)


@contextmanager
def tear(world: World, session: Session, dice: random.Random) -> Iterator[None]:
    """Half a record, or none, as after a full disk."""
    login, path = world.login(session), f"{session.directory}/record.json"
    if dice.random() < 0.5:
        login.run(["truncate", "--size=40", path], user="alice", check=False)
    else:
        login.run(["rm", "-f", path], user="alice")
    yield


@contextmanager
def elsewhere(world: World, session: Session, dice: random.Random) -> Iterator[None]:
    """The cluster's name leads to the other login host."""
    world.lab.resolve("login", ["login2", "login1"])
    try:
        yield
    finally:
        world.lab.resolve("login", ["login1", "login2"])


@contextmanager
def twice(world: World, session: Session, dice: random.Random) -> Iterator[None]:
    """Another launch at the same time, by the account's own command."""
    argv = [f"{session.root}/hpc-session", "start", "--session", session.name, "--wait", "60"]
    with world.login(session).popen(argv, user="alice", stdout=-1, stderr=-1) as other:
        yield
        out, err = other.communicate(timeout=180)
        assert "Traceback" not in out + err, err


STRIKES = (
    Strike("cut a cable", cut, seconds=(1, 12)),
    Strike("freeze slurmctld", _signalled("ctl", r"^slurmctld ", "root"), seconds=(1, 15), clusters=(LAB,)),
    Strike("close the lid", _signalled("client", "ssh|hpc_jupyter", "alice"), seconds=(2, 20)),
    Strike("kill the master", _killed("client", _MASTER)),
    Strike("kill the forward", _killed("client", _FORWARD), clusters=(LAB,)),
    Strike("kill the jump", _killed("client", _JUMP)),
    Strike("kill every ssh", _killed("client", "^ssh")),
    Strike("kill the gateway's sshd", _killed("gate", "sshd")),
    Strike("kill the login host's sshd", _killed("login", "sshd")),
    Strike("kill the holder", _killed("client", _HOLDER), heals=False),
    Strike("kill the command", _killed("client", r"bin/hpc-jupyter "), heals=False, busy=True),
    Strike("kill the module", _killed("login", r"AnsiballZ|ansible"), busy=True),
    Strike("kill sbatch", _killed("login", r"^(/usr/bin/)?sbatch "), clusters=(LAB,), busy=True),
    Strike("cancel the job", scancel, lives=False, heals=False, clusters=(LAB,)),
    Strike("requeue the job", requeue, clusters=(LAB,), heals=False),
    Strike("kill Jupyter", _killed("node", r"jupyter.*{directory}|{directory}.*jupyter"), lives=False, heals=False),
    Strike("tear the record", tear, lives=False, heals=False),
    Strike("another login host", elsewhere, clusters=(LAB,)),
    Strike("two launches", twice),
)
"""``make chaos SEED=…`` draws from these in the same order again."""

"""The faults of the chaos run: each a small function, entered to strike and left to take it back."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from hpclab.host import RunningHost
from hpclab.process import until
from tests.chaos.world import BENCH, CLOCK, LAB, TIME, Session, World
from tests.laptop import JUPYTER

_BOTH = (LAB, BENCH)
_HOLDER = r"hpc_jupyter .*\bhold {account} --session {session}$"
_MASTER = r"^ssh: .*\[mux\]|ControlMaster=yes"
_FORWARD = r"^ssh .* -L "
_JUMP = r"^ssh .* -W "
_SLURMCTLD = r"^slurmctld( |$)"
_SAVED_SECONDS = 10.0
"""Slurm saves what it knows every five seconds."""
_LEAST_KB, _LEAST_STEP = 4, 60

Act = Callable[[World, Session, random.Random], AbstractContextManager[object]]


@dataclass(frozen=True)
class Strike:
    """A fault: after it the same job runs (``lives``), the same local address answers by itself (``heals``).

    ``seconds`` is how long it lasts; ``busy`` ones strike only while a command runs; sessions have to be so ``old``.
    """

    name: str
    act: Act
    lives: bool = True
    heals: bool = True
    seconds: tuple[float, float] = (0.0, 0.0)
    clusters: tuple[str, ...] = _BOTH
    busy: bool = False
    old: float = 0.0


@contextmanager
def cut(world: World, session: Session, dice: random.Random) -> Iterator[str]:
    """The cables of one host on the way."""
    host = world.on_the_way(dice.choice(["client", "gate", "login", "node"]), session).name
    world.lab.cut(host)
    try:
        yield host
    finally:
        world.lab.heal(host)


def _frozen(name: str, pattern: str, user: str | None = None) -> Act:
    @contextmanager
    def act(world: World, session: Session, dice: random.Random) -> Iterator[int]:
        host = world.lab.host(name)
        try:
            yield _signal(host, pattern, "STOP", user=user)
        finally:
            _signal(host, pattern, "CONT", user=user)

    return act


def _killed(name: str, pattern: str) -> Act:
    @contextmanager
    def act(world: World, session: Session, dice: random.Random) -> Iterator[int]:
        wanted = pattern.format(account=re.escape(session.account), session=session.name, directory=session.directory)
        yield _signal(world.on_the_way(name, session), wanted, "KILL", user="alice")

    return act


def _signal(host: RunningHost, pattern: str, signal: str, *, user: str | None) -> int:
    found = [str(pid) for pid, argv in host.processes(user=user) if re.search(pattern, " ".join(argv))]
    if found:
        host.run(["kill", f"-{signal}", *found], check=False)
    return len(found)


@contextmanager
def restart(world: World, session: Session, dice: random.Random) -> Iterator[int]:
    """Slurm's controller dies, and begins again with what it has saved."""
    ctl = world.lab.host("ctl")
    try:
        yield _signal(ctl, _SLURMCTLD, "KILL", user=None)
    finally:
        ctl.run(["slurmctld"])
        until(lambda: not ctl.run(["scontrol", "ping"], check=False).returncode, what="slurmctld again", seconds=60)


def _full(name: str, path: str) -> Act:
    @contextmanager
    def act(world: World, session: Session, dice: random.Random) -> Iterator[None]:
        host = world.on_the_way(name, session)
        used = int(host.run(["df", "--output=used", path]).stdout.split()[-1])
        host.run(["mount", "-o", f"remount,size={max(used, _LEAST_KB)}k", path])
        try:
            # What is left of its last pages.
            assert host.run(["sh", "-c", f"cat /dev/zero > {path}/full"], check=False).returncode
            yield
        finally:
            host.run(["mount", "-o", "remount,size=50%", path])
            host.run(["rm", "-f", f"{path}/full"])

    return act


@contextmanager
def clock(world: World, session: Session, dice: random.Random) -> Iterator[None]:
    """One host's time of day is minutes off, for what runs there as well."""
    host = world.on_the_way(dice.choice(["client", "login", "node"]), session)
    host.write(CLOCK, str(dice.choice([-1, 1]) * dice.uniform(_LEAST_STEP, 600)))
    try:
        now = host.run([f"{JUPYTER}/bin/python", "-c", "import time; print(time.time())"]).stdout
        assert abs(float(now) - time.time()) > _LEAST_STEP / 2
        yield
    finally:
        host.run(["rm", CLOCK])


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
    argv = [f"{session.root}/hpc-session", "start", "--session", session.name, "--time", TIME, "--wait", "60"]
    with world.login(session).popen(argv, user="alice", stdout=-1, stderr=-1) as other:
        yield
        out, err = other.communicate(timeout=180)
        assert "Traceback" not in out + err, err


STRIKES = (
    Strike("cut a cable", cut, seconds=(1, 12)),
    Strike("freeze slurmctld", _frozen("ctl", _SLURMCTLD), seconds=(1, 15), clusters=(LAB,)),
    Strike("restart slurmctld", restart, seconds=(0, 10), clusters=(LAB,), old=_SAVED_SECONDS),
    Strike("fill the cluster's home", _full("login", "/home"), seconds=(1, 12)),
    Strike("fill the laptop's home", _full("client", "/home"), seconds=(1, 12)),
    Strike("fill the node's /tmp", _full("node", "/tmp"), seconds=(1, 12)),
    Strike("step a clock", clock, seconds=(1, 12)),
    Strike("close the lid", _frozen("client", "ssh|hpc_jupyter", "alice"), seconds=(2, 20)),
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

"""A short chaos run; `make chaos` has long ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hpclab.host import RunningHost
from hpclab.process import until
from tests.chaos.chaos import Scanner, run
from tests.chaos.world import BENCH, LAB, Session, World
from tests.laptop import Laptop

SEED, STEPS = 2685, 4


@pytest.mark.timeout(1200)
@pytest.mark.rows("T7", "T8", "F25", "F36")
def test_what_must_hold_holds_after_every_fault(alice: Laptop) -> None:
    world = World(alice, (Session(LAB, "default"), Session(BENCH, "default")))
    scanner = Scanner(world)
    with run(world, SEED) as chaos:
        for number in range(STEPS):
            chaos.step(number)
        scanner.look(["client", "gate", "login1", "login2", "c1", "c2"])
        scanner.check()
        _see_what_must_not_be(world, world.sessions[0])
    assert len(chaos.steps) == STEPS
    assert world.left() == []


def _see_what_must_not_be(world: World, session: Session) -> None:
    """Each of the run's looks finds what it looks for, made on purpose."""
    login, record = world.login(session), world.record(session)
    node = world.lab.host(record["node"])
    with _moved(node, record["socket"]):
        [told] = world.disagreements(session)
        assert "shown as ready, answers: False" in told
    with _second_job(login), pytest.raises(AssertionError, match=r"has jobs \['\d+', '\d+'\]"):
        world.disagreements(session)
    half = f"{session.directory}/half.json"
    login.write(half, "{", owner="alice", mode=0o640)
    assert world.open_files() == [f"login1: 640 {half}", f"login1: {half} is no JSON"]
    login.run(["rm", half])
    login.write("/tmp/seen", world.token(session))
    scanner = Scanner(world)
    scanner.look(["login1"])
    assert [(found.canary, found.where) for found in scanner.findings] == [(f"token of {session}", "file /tmp/seen")]
    login.run(["rm", "/tmp/seen"])
    left = "\n".join(world.left())
    for kind in (f"{session}: jobs ", "client: process ssh ", f"{node.name}: /tmp/hpcj-", "client: socket /home/"):
        assert kind in left


@contextmanager
def _moved(host: RunningHost, path: str) -> Iterator[None]:
    host.run(["mv", path, f"{path}.aside"])
    yield
    host.run(["mv", f"{path}.aside", path])


@contextmanager
def _second_job(login: RunningHost) -> Iterator[None]:
    """Of the session's name, by somebody else than the session's own commands."""
    name = login.run(["squeue", "--noheader", "--user", "alice", "--format", "%j"]).stdout.strip()
    argv = ["sbatch", "--parsable", f"--job-name={name}", "--output=/dev/null", "--begin=now+1hour", "--wrap=true"]
    job = login.run(argv, user="alice").stdout.strip()
    yield
    login.run(["scancel", job], user="alice")
    until(lambda: login.run(["squeue", "--noheader", "--jobs", job], check=False).stdout == "", what="its end")

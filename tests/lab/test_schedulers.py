"""The same day of a session on every scheduler that the labs have, through all that a person does."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hpclab import Lab, topologies
from tests import laptop
from tests.laptop import Laptop

SILENT = {"slurm": "Cannot tell now: squeue ", "sge": "Cannot tell now: qstat "}
ALL_CPUS = ("--cpus", "4")
WAITS = {
    "slurm": (["--extra=--begin=now+3hours"], "its start time has not come (BeginTime)"),
    "sge": (["--cpus", "4"], 'queue instance "all.q@c1" dropped because it is full'),
}
"""What makes a second job wait, and how that is told."""
WAITING = 6
"""What `hpc-session start` ends with where a job still waits."""


@pytest.fixture(scope="module", name="other_lab")
def _other_lab() -> Iterator[Lab]:
    with laptop.up(f"test-sge-{os.getpid()}", topology=topologies.SGE) as lab:
        yield lab


@pytest.fixture(name="person", params=["slurm", "sge"])
def _person(request: pytest.FixtureRequest) -> Laptop:
    lab: Lab = request.getfixturevalue("lab" if request.param == "slurm" else "other_lab")
    person = Laptop(lab)
    person.write_inventory()
    person.set_up()
    return person


@contextmanager
def stopped_controller(person: Laptop) -> Iterator[None]:
    """What knows all jobs neither answers nor dies."""
    name, program = _scheduler(person).controller_process
    host = person.lab.host(name)
    [pid] = [str(pid) for pid, argv in host.processes() if argv[0].endswith(program)]
    host.run(["kill", "-STOP", pid])
    try:
        yield
    finally:
        host.run(["kill", "-CONT", pid])


def _scheduler(person: Laptop) -> Any:
    return person.lab.topology.clusters[0].scheduler


def _jobs(person: Laptop) -> list[str]:
    found: list[str] = _scheduler(person).jobs(person.lab, person.user)
    return found


def _own(person: Laptop, *arguments: str) -> tuple[int, str]:
    """The account's own command on the login host: exit code, and all that it says."""
    command = f"/home/{person.user}/.local/share/hpc-jupyter/{person.cluster}/hpc-session"
    done = person.login.run([command, *arguments], user=person.user, check=False, timeout=150)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.rows("F4")
def test_a_session_from_launch_to_stop(person: Laptop) -> None:
    account, kind = person.account, _scheduler(person).kind
    told = json.loads(person.cli("launch", account, "--detach", "--json", "--time", "1:00:00", *ALL_CPUS).stdout)
    [job] = _jobs(person)
    assert (told["state"], told["job_id"], told["node"]) == ("ready", job, person.record()["node"])
    assert str(told["ends_at"]).endswith("Z")
    argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-L", "-c", "/dev/null", "--max-time", "20"]
    assert person.lab.host("client").run([*argv, told["url"]], user=person.user).stdout == "200"

    assert _own(person, "start")[0] == 0
    options, reason = WAITS[kind]
    assert _own(person, "start", "--session", "second", "--wait", "3", *options)[0] == WAITING
    assert f"waits in the queue: {reason}" in _own(person, "status")[1]
    assert len(_jobs(person)) == 2
    assert _own(person, "stop", "--session", "second")[0] == 0
    assert _jobs(person) == [job]

    with stopped_controller(person):
        assert SILENT[kind] in _own(person, "status", "--session", "default")[1]
    assert f"Stopped session default of {account} (job {job})\n" in person.cli("stop", account).stdout
    assert _jobs(person) == []
    assert (person.record()["state"], person.record()["how"]) == ("ended", "stopped")

"""``launch --first`` on two clusters, one of them busy, killed at every step that it tells."""

import json

import pytest

from hpclab import Lab
from hpclab.process import until
from tests.chaos.killing import events
from tests.laptop import PREFIX, Laptop

BUSY = ["--begin=now+3hours"]
ASKED = ["launch", "--first", "busy,lab", "--detach", "--no-browser", "--json"]
LATE_SECONDS = 120
"""How long a submit may arrive after its client has died."""


@pytest.fixture(name="two")
def _two(alice: Laptop) -> Laptop:
    alice.set_up()
    alice.add_cluster("busy", jupyter_session_extra=BUSY)
    return alice


def _is_settled(person: Laptop) -> bool:
    """Whether a race is over by what its person's next command does, which may be any."""
    person.cli("status", "alice@lab")
    kept = ["find", "/home/alice/.local/state/hpc-jupyter/.races", "-name", "*.json"]
    return person.lab.host("client").run(kept, user="alice", check=False).stdout == ""


@pytest.mark.timeout(5400)
def test_a_race_that_is_killed_at_any_step_leaves_nothing_queued(two: Laptop, lab: Lab) -> None:
    """Made good by the same launch, or by another command, in turns."""
    argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", "-v", *ASKED]
    killed = 0
    for number in events(lab, argv):
        killed = number
        if number % 2:
            told = json.loads(two.cli(*ASKED, timeout=250).stdout)
            assert [job[0] for job in two.squeue()] == [told["job_id"]], number
        else:
            until(lambda: _is_settled(two), what=f"the end of race {number}", seconds=LATE_SECONDS)
            assert [job for job in two.squeue() if job[2] == "PENDING"] == [], number
            assert len(two.squeue()) <= 1, number
        two.cli("stop", "alice@lab")
        assert two.squeue() == [], number
    assert killed > 20
    two.cli("stop", "alice@lab")
    assert two.squeue() == []

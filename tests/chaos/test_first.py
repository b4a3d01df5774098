"""``launch --first`` on two clusters, one of them full, killed at every step that it tells."""

import json

import pytest

from hpclab.process import until
from tests.chaos.killing import events
from tests.laptop import PREFIX
from tests.race import BUSY, FREE, Racer, racer, two_clusters

__all__ = ["racer", "two_clusters"]

ASKED = ["launch", "--first", "busy,lab", "--detach", "--no-browser", "--json"]
LATE_SECONDS = 120
"""How long a submit may arrive after its client has died."""


def _is_settled(racer: Racer) -> bool:
    """Whether a race is over by what its person's next command does, which may be any."""
    racer.person.cli("status", "alice@lab")
    return racer.is_settled()


@pytest.mark.timeout(5400)
def test_a_race_that_is_killed_at_any_step_leaves_nothing_queued(racer: Racer) -> None:
    """Made good by the same launch, or by another command, in turns."""
    alice = racer.person
    argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", "-v", *ASKED]
    killed = 0
    for number in events(alice.lab, argv):
        killed = number
        if number % 2:
            told = json.loads(alice.cli(*ASKED, timeout=250).stdout)
            assert told["account"] == "alice@lab", number
            assert [job[0] for job in racer.jobs(FREE)] == [told["job_id"]], number
        else:
            until(lambda: _is_settled(racer), what=f"the end of race {number}", seconds=LATE_SECONDS)
            assert len(racer.jobs(FREE)) <= 1, number
            assert [job for job in racer.jobs(FREE) if job[2] == "PENDING"] == [], number
        assert racer.jobs(BUSY) == [], number
        alice.cli("stop", "alice@lab")
        assert racer.jobs(FREE) == [], number
    assert killed > 20
    alice.cli("stop", "alice@lab")
    assert (racer.jobs(FREE), racer.jobs(BUSY)) == ([], [])

"""A session on two clusters at once, for whichever starts first: one is full of other people's jobs."""

import json
import re

import pytest

from tests.race import BUSY, FREE, Racer, racer, two_clusters

__all__ = ["racer", "two_clusters"]

ASKED = ("launch", "--first", "busy,lab", "--detach", "--no-browser", "--json")


@pytest.mark.timeout(600)
def test_the_cluster_that_starts_first_wins_and_nothing_stays_queued(racer: Racer) -> None:
    alice = racer.person
    won = alice.cli(*ASKED, timeout=250)
    told = json.loads(won.stdout)
    assert (told["account"], told["state"]) == ("alice@lab", "ready")
    assert re.search(r"alice@busy default: Job \d+ waits in the queue", won.stderr), won.stderr
    assert "alice@lab is ready first; cancelling job" in won.stderr
    assert ([job[0] for job in racer.jobs(FREE)], racer.jobs(BUSY)) == ([told["job_id"]], [])
    assert alice.record()["race"] == ""
    again = alice.cli(*ASKED, timeout=250)
    assert json.loads(again.stdout)["job_id"] == told["job_id"]
    assert ([job[0] for job in racer.jobs(FREE)], racer.jobs(BUSY)) == ([told["job_id"]], [])
    alice.cli("disconnect", "alice@lab")
    alice.cli("stop", "alice@lab")
    assert (racer.jobs(FREE), racer.jobs(BUSY)) == ([], [])

"""A session on two clusters at once, for whichever starts first: one keeps its jobs waiting, the other starts them."""

import json

import pytest

from tests.laptop import Laptop

BUSY = ["--begin=now+3hours"]
"""An option of Slurm's that keeps a job in its queue, as other people's jobs would."""
ASKED = ("launch", "--first", "busy,lab", "--detach", "--no-browser", "--json")


@pytest.mark.timeout(600)
def test_the_cluster_that_starts_first_wins_and_nothing_stays_queued(alice: Laptop) -> None:
    alice.set_up()
    alice.add_cluster("busy", jupyter_session_extra=BUSY)
    won = alice.cli(*ASKED, timeout=250)
    told = json.loads(won.stdout)
    assert (told["account"], told["state"]) == ("alice@lab", "ready")
    assert "alice@lab is ready first; cancelling job" in won.stderr
    assert [job[0] for job in alice.squeue()] == [told["job_id"]]
    assert alice.record()["race"] == ""
    again = alice.cli(*ASKED, timeout=250)
    assert json.loads(again.stdout)["job_id"] == told["job_id"]
    assert [job[0] for job in alice.squeue()] == [told["job_id"]]
    alice.cli("disconnect", "alice@lab")
    alice.cli("stop", "alice@lab")
    assert alice.squeue() == []

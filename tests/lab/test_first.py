"""A session on two clusters at once, for whichever starts first: one keeps its jobs waiting, the other starts them."""

import json

import pytest
import yaml

from tests.laptop import EXISTING, Laptop

BUSY = ["--begin=now+3hours"]
"""An option of Slurm's that keeps a job in its queue, as other people's jobs would."""
ASKED = ("launch", "--first", "busy,lab", "--detach", "--no-browser", "--json")


@pytest.fixture
def two(alice: Laptop) -> Laptop:
    """Alice has an account on a second cluster too, called busy, whose name comes first."""
    alice.set_up()
    client = alice.lab.host("client")
    busy = yaml.safe_load(client.read("/home/alice/inventory/group_vars/lab.yml"))
    facts = {**busy, "jupyter_session_extra": BUSY}
    hosts = {"lab": {"hosts": {"alice@lab": None}}, "busy": {"hosts": {"alice@busy": None}}}
    for path, content in (("hosts", hosts), ("group_vars/busy", facts)):
        client.write(f"/home/alice/inventory/{path}.yml", yaml.safe_dump(content), owner="alice")
    alice.play("setup", "--limit", "alice@busy", *EXISTING)
    return alice


@pytest.mark.timeout(600)
def test_the_cluster_that_starts_first_wins_and_nothing_stays_queued(two: Laptop) -> None:
    won = two.cli(*ASKED, timeout=250)
    told = json.loads(won.stdout)
    assert (told["account"], told["state"]) == ("alice@lab", "ready")
    assert "alice@lab is ready first; cancelling job" in won.stderr
    assert [job[0] for job in two.squeue()] == [told["job_id"]]
    assert two.record()["race"] == ""
    again = two.cli(*ASKED, timeout=250)
    assert (json.loads(again.stdout)["job_id"], [job[0] for job in two.squeue()]) == (told["job_id"], [told["job_id"]])
    two.cli("disconnect", "alice@lab")
    two.cli("stop", "alice@lab")
    assert two.squeue() == []

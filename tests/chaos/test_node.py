"""A node that is gone from one moment to the next, with the job on it, and comes back later."""

from __future__ import annotations

import time

import pytest

from hpclab import Lab
from tests.healing import Holding
from tests.laptop import Laptop

STILL_SECONDS = 20
"""For so long after the node is back nothing may change any more."""


@pytest.mark.rows("F7", "F10")
def test_a_session_goes_on_elsewhere_and_its_first_run_ends_when_the_node_is_back(alice: Laptop, lab: Lab) -> None:
    held = Holding.launch(alice)
    job, node = str(held.told["job_id"]), str(held.told["node"])
    lab.cut(node)
    held.until(lambda: not held.answers())
    # Slurm notices after SlurmdTimeout, and puts the job back into the queue for two minutes.
    held.until(lambda: alice.squeue()[0][2] == "PENDING", seconds=180)
    login = lab.host("login1")
    login.run(["scontrol", "update", f"jobid={job}", "StartTime=now"], user="alice")
    took = held.until(held.answers, seconds=180)
    print(f"on another node {took:.1f} s after the job was let start")
    assert alice.record()["node"] != node
    lab.heal(node)
    held.until(lambda: not [argv for _pid, argv in lab.host(node).processes(user="alice") if "supervise" in argv])
    deadline = time.monotonic() + STILL_SECONDS
    while time.monotonic() < deadline:
        record = alice.record()
        assert (record["state"], record["job_id"]) == ("ready", job)
        time.sleep(1)
    assert held.answers()
    assert [line[0] for line in alice.squeue()] == [job]

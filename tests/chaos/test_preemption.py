"""A job that somebody more urgent takes the node from goes back into the queue, and its session with it."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hpclab import Lab, topologies
from hpclab.process import until
from tests import faults, laptop
from tests.laptop import Laptop

OWN = "/home/alice/.local/share/hpc-jupyter/lab/hpc-session"


def _preempting() -> topologies.Topology:
    [cluster] = topologies.SLURM.clusters
    scheduler = cluster.scheduler
    assert isinstance(scheduler, topologies.Slurm)
    urgent = topologies.Partition(name="urgent", nodes=("c1", "c2"), priority=10)
    settings = {"PreemptType": "preempt/partition_prio", "PreemptMode": "REQUEUE"}
    changed = replace(scheduler, partitions=(*scheduler.partitions, urgent), settings=settings)
    return replace(topologies.SLURM, clusters=(replace(cluster, scheduler=changed),))


@pytest.fixture(name="preempting")
def _lab() -> Iterator[Lab]:
    with laptop.up(f"preempt-{os.getpid()}", topology=_preempting()) as lab:
        yield lab


def _seen(person: Laptop) -> dict[str, Any]:
    [told] = json.loads(person.login.run([OWN, "status", "--json"], user=person.user).stdout)
    assert isinstance(told, dict)
    return told


@pytest.mark.timeout(600)
@pytest.mark.rows("F8")
def test_a_preempted_job_waits_in_the_queue_and_goes_on_as_the_same_session(preempting: Lab) -> None:
    alice = Laptop(preempting)
    alice.write_inventory()
    alice.set_up()
    faults.tiny_jobs(alice)
    alice.login.run([OWN, "start", "--time", "0:10:00"], user="alice", timeout=120)
    [job] = alice.squeue()
    before = alice.record()
    urgent = ["sbatch", "--parsable", "-p", "urgent", "-N2", "--exclusive", "--output=/dev/null", "--wrap=sleep 600"]
    bobs = alice.login.run(urgent, user="bob").stdout.strip()
    until(lambda: alice.squeue()[0][2] == "PENDING", what="preemption of the session's job", seconds=60)
    assert (_seen(alice)["state"], _seen(alice)["job_id"]) == ("queued", job[0])
    again = alice.login.run([OWN, "start", "--wait", "0"], user="alice", check=False, timeout=120)
    assert again.stdout.startswith(f"found: alice@lab default: Job {job[0]} waits in the queue")
    alice.login.run(["scancel", bobs], user="bob")
    # A slurmd that ended a job launches it no more within the same second: "already killed".
    preempting.host("ctl").run(["scontrol", "update", f"jobid={job[0]}", "StartTime=now+2"])
    until(lambda: alice.record()["state"] == "ready", what="the session as before", seconds=120)
    after = alice.record()
    assert [each[0] for each in alice.squeue()] == [job[0]]
    assert (after["generation"], after["base_url"]) == (before["generation"], before["base_url"])
    alice.login.run([OWN, "stop"], user="alice", timeout=120)
    assert alice.squeue() == []

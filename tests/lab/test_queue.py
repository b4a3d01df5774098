"""A job that waits for hours in a real queue: watched, left, found again, given up."""

import re
from subprocess import PIPE, STDOUT

import pytest

from hpclab import Lab
from tests.laptop import PREFIX, Laptop

LATER = "--extra=--begin=now+3hours"
WAITS = r"Job {job} waits in the queue: its start time has not come \(BeginTime\); expected to start at \S+"


@pytest.mark.rows("F6")
def test_a_job_that_waits_for_hours_is_left_in_the_queue_and_found_again(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", "launch", alice.account, LATER]
    with lab.host("client").popen(argv, user="alice", stdout=PIPE, stderr=STDOUT) as launched:
        assert launched.stdout
        said = next((line for line in launched.stdout if "waits in the queue" in line), "")
        [[job, _name, state, _node]] = alice.squeue()
        assert (state, bool(re.match(WAITS.format(job=job), said))) == ("PENDING", True), said
        launched.interrupt()
        told = launched.communicate(timeout=30)[0]
    command = "hpc-jupyter -i inventory {} alice@lab"
    assert f"interrupted; job {job} stays. Come back: {command.format('launch')}\n" in told
    assert f"Stop it: {command.format('stop')}\n" in told
    assert re.search(rf"alice@lab default: {WAITS.format(job=job)}", alice.cli("status", alice.account).stdout)
    again = alice.cli("launch", alice.account, "--wait-seconds", "1", check=False)
    assert (again.returncode, alice.squeue()[0][0]) == (6, job)
    assert f"Watch it again: {command.format('launch')}\nGive it up: {command.format('stop')}\n" in again.stderr
    assert alice.cli("stop", alice.account).stdout == f"Stopped session default of alice@lab (job {job})\n"
    assert alice.squeue() == []

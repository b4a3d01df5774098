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
    tell = "sh -c 'echo $HPC_JUPYTER_STATE $HPC_JUPYTER_JOB_ID: $1 > /tmp/told' sh"
    follow = [*argv[:3], "status", alice.account, "--every", "5", "--notify-command", tell]
    with lab.host("client").popen(follow, user="alice", stdout=PIPE, stderr=STDOUT) as followed:
        assert followed.stdout
        assert "waits in the queue" in followed.stdout.readline()
        lab.host("login1").run(["scontrol", "update", f"jobid={job}", "starttime=now"], user="alice")
        shown = followed.communicate(timeout=120)[0]
    assert followed.returncode == 0, shown
    told_too = lab.host("client").run(["cat", "/tmp/told"], user="alice").stdout
    assert told_too.startswith(f"ready {job}: alice@lab default: Ready on ")
    assert alice.cli("stop", alice.account).stdout == f"Stopped session default of alice@lab (job {job})\n"
    assert alice.squeue() == []

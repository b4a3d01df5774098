"""What a real Slurm does that a launch must survive: one job, one record, the right answer."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, STDOUT

import pytest

from hpclab import Lab
from hpclab.process import until
from tests.laptop import PREFIX, Laptop, changed

ROOT = "/home/alice/.local/share/hpc-jupyter/lab"
SBATCH = "/usr/local/bin/sbatch"
WAITING, GO = "/tmp/sbatch-waits", "/tmp/sbatch-goes"
"""The real sbatch, begun when the test says so."""


@contextmanager
def frozen_controller(lab: Lab) -> Iterator[None]:
    """slurmctld neither answers nor dies."""
    ctl = lab.host("ctl")
    [pid] = [str(pid) for pid, argv in ctl.processes() if argv[0].endswith("slurmctld")]
    ctl.run(["kill", "-STOP", pid])
    try:
        yield
    finally:
        ctl.run(["kill", "-CONT", pid])


@pytest.mark.rows("F1")
def test_a_submit_that_timed_out_but_was_accepted_is_found_again(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    argv = [f"{PREFIX}/bin/ansible-playbook", "-i", "inventory", "hpc.jupyter.launch"]
    client = lab.host("client")
    login = lab.host("login1")
    wait = f"touch {WAITING}; until [ -e {GO} ]; do sleep 0.05; done"
    script = f'#!/bin/sh\n{wait}\n/usr/bin/sbatch "$@"\ncode=$?\ntouch {WAITING}.$code\nexit $code\n'
    login.write(SBATCH, script, mode=0o755)
    try:
        with client.popen(argv, user="alice", stdout=PIPE, stderr=STDOUT) as play:
            login.run(["sh", "-c", f"until [ -e {WAITING} ]; do sleep 0.05; done"], timeout=60)
            with frozen_controller(lab):
                login.run(["touch", GO])
                login.run(["sh", "-c", f"until [ -e {WAITING}.1 ]; do sleep 0.05; done"], timeout=60)
            told = play.communicate(timeout=120)[0]
    finally:
        login.run(["rm", "-f", SBATCH, GO, WAITING, f"{WAITING}.1"])
    assert play.returncode == 0, told
    assert [job[2] for job in alice.squeue()] == ["RUNNING"], told
    assert alice.record()["state"] == "ready"
    assert changed(alice.play("launch")) == 0


@pytest.mark.rows("F4", "F32")
def test_a_silent_scheduler_is_no_end_and_no_reason_for_a_second_job(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    alice.play("launch")
    [job] = alice.squeue()
    with frozen_controller(lab):
        shown = alice.play("status").stdout
        assert "Cannot tell now: squeue " in shown
        assert "cannot tell which jobs there are: squeue " in shown
        assert "nothing to do" in alice.play("clean").stdout
    assert alice.squeue() == [job]
    assert changed(alice.play("launch")) == 0


@pytest.mark.rows("F7", "F8")
def test_a_requeued_job_is_followed_and_can_be_stopped(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    alice.play("launch")
    [job] = alice.squeue()
    _a_job_begun_anew_is_the_session_before_its_supervisor_says_so(alice, job[0])
    lab.host("login1").run(["scontrol", "requeue", job[0]], user="alice")
    assert changed(alice.play("launch", "-e", "jupyter_session_wait_seconds=3")) == 0
    assert [each[0] for each in alice.squeue()] == [job[0]]
    assert f"alice@lab default: Job {job[0]} waits in the queue" in alice.play("status").stdout
    assert changed(alice.play("stop")) == 1
    assert alice.squeue() == []


def _a_job_begun_anew_is_the_session_before_its_supervisor_says_so(alice: Laptop, job: str) -> None:
    """Its record says that it has ended, for longer than anybody remembers, until the environment is loaded."""
    def own(*words: str) -> str:
        return alice.login.run([f"{ROOT}/hpc-session", *words], user="alice", timeout=120, check=False).stdout

    wait = f"echo 'until [ -e ~/go ]; do sleep 0.1; done' >> {ROOT}/environment.sh"
    alice.login.run(["sh", "-c", wait], user="alice")
    alice.login.run(["scontrol", "requeue", job], user="alice")
    until(lambda: alice.squeue()[0][2] == "PENDING", what="requeue", seconds=60)
    alice.login.run(["touch", "-d", "2020-01-01", f"{ROOT}/sessions/default/record.json"], user="alice")
    queued = f"alice@lab default: Job {job} waits in the queue: its start time has not come (BeginTime)"
    assert own("status").startswith(queued)
    # A slurmd that ended a job launches it no more within the same second: "already killed".
    alice.login.run(["scontrol", "update", f"jobid={job}", "StartTime=now+2"], user="alice")
    until(lambda: alice.squeue()[0][2] == "RUNNING", what="the job begun anew", seconds=60)
    assert alice.record()["state"] == "ended"
    assert re.fullmatch(rf"alice@lab default: Job {job} started on c\d; Jupyter is starting\n", own("status"))
    assert own("start", "--wait", "1").startswith(f"found: alice@lab default: Job {job} started on c")
    alice.login.run(["touch", "/home/alice/go"], user="alice")
    until(lambda: alice.record()["state"] == "ready", what="the session", seconds=60)
    assert [each[0] for each in alice.squeue()] == [job]

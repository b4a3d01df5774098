"""A session in a job that its owner has already, as after `salloc`."""

import json
import re
from subprocess import PIPE, STDOUT

from hpclab import Lab
from hpclab.process import until
from tests.laptop import PREFIX, Laptop, failed

COMMAND = ".local/share/hpc-jupyter/lab/hpc-session"


def _salloc(lab: Lab, user: str, *options: str) -> str:
    """An allocation that was made by hand; its number."""
    argv = ["salloc", "--no-shell", "--time=30", *options]
    made = lab.host("login1").run(argv, user=user, timeout=30)
    return made.stderr.split("allocation ")[1].split()[0]


def _steps(alice: Laptop) -> list[str]:
    argv = ["squeue", "--noheader", "--steps", "--user", alice.user, "--format", "%i"]
    return [line for line in alice.lab.host("login1").run(argv).stdout.split() if line.split(".")[1].isdigit()]


def test_a_session_runs_in_a_job_that_is_there_and_leaves_it(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    job = _salloc(lab, "alice", "--ntasks=2")
    before = alice.squeue()
    told = alice.cli("launch", alice.account, "--job", job, "--detach", "--no-browser").stdout
    assert alice.squeue() == before
    record = alice.record()
    assert (record["job_id"], record["state"], record["node"]) == (f"{job}.0", "ready", before[0][3])
    assert re.search(rf"\(job {job}\.0\), .+ left \(until ", told)
    assert record["ends_at"]
    # Whoever asks again, in whatever way, finds it.
    login = lab.host("login1")
    found = login.run([COMMAND, "start", "--job", job], user="alice", cwd="/home/alice", timeout=60).stdout
    assert found.startswith(f"found: alice@lab default: Ready on {record['node']} as job {job}.0")
    assert "found" in login.run([COMMAND, "start"], user="alice", cwd="/home/alice", timeout=60).stdout
    assert _steps(alice) == [f"{job}.0"]
    [seen] = json.loads(login.run([COMMAND, "status", "--json"], user="alice", cwd="/home/alice").stdout)
    assert (seen["state"], seen["generation"]) == ("ready", 1)
    alice.cli("stop", alice.account)
    assert (_steps(alice), alice.squeue()) == ([], before)
    assert alice.record()["how"] == "stopped"
    assert "session default ended (stopped): stopped on request" in login.read(record["log"])


def test_the_end_of_the_job_ends_the_session(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    job = _salloc(lab, "alice")
    login = lab.host("login1")
    login.run([COMMAND, "start", "--job", job], user="alice", cwd="/home/alice", timeout=90)
    login.run(["scancel", job], user="alice")
    login.run(["sh", "-c", f"until {COMMAND} status | grep 'has ended (stopped'; do sleep 0.5; done"], user="alice",
              cwd="/home/alice", timeout=60)  # fmt: skip
    # What ran in a job that is gone is no reason not to start anew.
    login.run([COMMAND, "start"], user="alice", cwd="/home/alice", timeout=90)
    assert [row[0] for row in alice.squeue()] == [alice.record()["job_id"]] != [job]


def test_a_job_that_cannot_be_used_is_refused_before_anything_is_written(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    bobs, waits = _salloc(lab, "bob"), _waiting(lab)
    for job, words in (
        ("99999", "job: Slurm on login1 knows no job 99999. Look for yours with: squeue --me"),
        (bobs, f"job: job {bobs} belongs to bob, not to alice. Look for yours with: squeue --me"),
        (waits, f"job: job {waits} does not run: it is PENDING. Name one that runs, or leave job out"),
    ):
        assert words in failed(alice.cli("launch", alice.account, "--job", job, check=False))
    told = failed(alice.cli("launch", alice.account, "--job", bobs, "--time", "1:00:00", "--cpus", "2", check=False))
    assert f"job: job {bobs} has its resources already, and time, cpus would change nothing" in told
    assert not lab.host("login1").exists("/home/alice/.local/share/hpc-jupyter/lab/sessions/default/record.json")


def _waiting(lab: Lab) -> str:
    argv = ["sbatch", "--parsable", "--hold", "--wrap", "sleep 60"]
    return lab.host("login1").run(argv, user="alice", cwd="/home/alice").stdout.strip()


def _session_job(alice: Laptop) -> str:
    """The session's job, if it is in the queue; empty if it is not."""
    return next((job[0] for job in alice.squeue() if job[1].startswith("hpc-jupyter-")), "")


def test_the_waiting_goes_on_without_the_client(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    login, client = lab.host("login1"), lab.host("client")
    first = login.run(["sbatch", "--parsable", "--wrap", "sleep 600"], user="alice", cwd="/home/alice").stdout.strip()
    options = ["--dependency", f"afterany:{first}"]
    argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", "launch", alice.account, *options]
    with client.popen(argv, user="alice", stdout=PIPE, stderr=STDOUT) as process:
        waiting = until(lambda: _session_job(alice), what="a job in the queue", seconds=60)
        lab.cut("client")
        process.kill()
    login.run(["scancel", first], user="alice")
    until(lambda: alice.record()["state"] == "ready", what="a session that nobody waits for", seconds=60)
    lab.heal("client")
    told = alice.cli("launch", alice.account, "--detach", "--no-browser").stdout
    assert f"(job {waiting}" in told
    assert [job[0] for job in alice.squeue()] == [waiting]
    alice.cli("disconnect", alice.account)

"""The playbooks on a real cluster, from the laptop: check changes nothing, apply, apply again changes nothing."""

import json
import shlex
import time

import pytest

from hpclab import Lab
from tests.laptop import EXISTING, Laptop, changed, failed

NODES = ("c1", "c2", "g1")


def left_on_nodes(lab: Lab) -> list[str]:
    """Processes, sockets and files of alice's on the compute nodes."""
    find = ["find", "/tmp", "/var/tmp", "/dev/shm", "-user", "alice"]
    files = [line for node in NODES for line in lab.host(node).run(find).stdout.splitlines()]
    return files + [str(process) for node in NODES for process in lab.host(node).processes(user="alice")]


def test_setup_checks_applies_and_then_changes_nothing(alice: Laptop) -> None:
    untouched = alice.listing()
    assert changed(alice.play("setup", "--check", "--diff", *EXISTING)) > 0
    assert alice.listing() == untouched
    assert changed(alice.play("setup", *EXISTING)) > 0
    done = alice.listing()
    assert changed(alice.play("setup", *EXISTING)) == 0
    assert changed(alice.play("setup", "--check", "--diff", *EXISTING)) == 0
    assert alice.listing() == done


def test_a_session_from_launch_to_stop(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    assert changed(alice.play("launch", "--check", "--diff")) == 1
    assert alice.squeue() == []

    first = alice.play("launch")
    assert changed(first) == 1
    [job] = alice.squeue()
    record = alice.record()
    assert [job[0], job[1][:-7], *job[2:]] == [record["job_id"], "hpc-jupyter-default", "RUNNING", record["node"]]
    assert record["state"] == "ready"

    second = alice.play("launch")
    assert changed(second) == 0
    assert f"alice@lab default: Ready on {record['node']} as job {record['job_id']}" in second.stdout
    assert alice.squeue() == [job]

    assert "Ready on" in alice.play("status", "--check").stdout
    assert "Ready on" in alice.play("status").stdout
    assert "hpc-jupyter: session default is ready" in alice.play("logs").stdout

    assert changed(alice.play("stop", "--check", "--diff")) == 1
    assert alice.squeue() == [job]
    assert changed(alice.play("stop")) == 1
    assert alice.squeue() == []
    assert left_on_nodes(lab) == []
    assert changed(alice.play("stop")) == 0
    assert "alice@lab default: Session default has ended (stopped" in alice.play("status").stdout


def test_the_printed_ssh_command_and_url_work_when_pasted(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    lines = json.loads(alice.play("launch").stdout.split("ok: [alice@lab] => ")[-1].split("\n\n")[0])["msg"]
    said = {line.split(": ")[0].split(" http")[0]: line for line in lines}
    forward = said["Forward it, and leave this running"].split(": ", 1)[1]
    show_url = said["Log in with your password, or take the whole URL from"].split(": ", 1)[1]
    client = lab.host("client")
    with client.popen(shlex.split(forward), user="alice") as ssh:
        url = client.run(["sh", "-c", show_url], user="alice").stdout.split()[-1]
        status = url.replace("/lab?", "/api/status?")
        ask = ["curl", "--silent", "--fail", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", status]
        assert json.loads(client.run(ask, user="alice").stdout)["kernels"] == 0
        bare = status.split("?")[0]
        refused = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", bare]
        assert client.run(refused, user="alice").stdout == "403"
        ssh.terminate()
        ssh.wait(timeout=10)


def test_resources_reach_the_scheduler(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    wanted = {"partition": "gpu", "time": "0:30:00", "gpus": "1", "cpus": "2", "memory": "500M", "name": "train"}
    options = [f"-ejupyter_session_{name}={value}" for name, value in wanted.items()]
    alice.play("launch", *options)
    job_id = alice.record("train")["job_id"]
    shown = lab.host("login1").run(["scontrol", "show", "job", job_id]).stdout
    for part in ("Partition=gpu", "TimeLimit=00:30:00", "gpu:1", "CPUs/Task=2", "MinMemoryNode=500M", "NodeList=g1"):
        assert part in shown
    assert alice.record("train")["node"] == "g1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["-e", "jupyter_session_partition=nosuch"],
            "Slurm refused the job: invalid partition specified: nosuch; "
            "Batch job submission failed: Invalid partition name specified",
            marks=pytest.mark.rows("B44"),
        ),
        pytest.param(
            ["-e", "jupyter_session_time=2-00:00:00"],
            # Slurm says PartitionConfig for a moment, then PartitionTimeLimit.
            "the job can never start (Partition",
            marks=pytest.mark.rows("B42"),
        ),
        pytest.param(
            ["-e", "jupyter_session_time=1:60"],
            "jupyter_session_time: '1:60' is not a walltime. Write [D-]H:MM:SS in quotes, "
            'such as "2:00:00" for two hours or "1-12:00:00" for a day and a half',
            marks=pytest.mark.rows("B42"),
        ),
        pytest.param(
            ["-e", "jupyter_session_directory=/nowhere"],
            "directory: /nowhere is not a directory on login1",
            marks=pytest.mark.rows("B21"),
        ),
    ],
)
def test_a_request_that_can_never_start_fails_at_once(alice: Laptop, options: list[str], message: str) -> None:
    alice.set_up()
    began = time.monotonic()
    assert message in failed(alice.play("launch", *options, check=False)).replace('\\"', '"')
    assert time.monotonic() - began < 60
    assert alice.squeue() == []


def test_an_account_that_was_never_set_up_says_what_to_run(alice: Laptop) -> None:
    text = failed(alice.play("launch", check=False))
    assert (
        "alice@lab is not set up: /home/alice/.local/share/hpc-jupyter/lab/job.sh is missing. "
        "Run: hpc-jupyter setup alice@lab (or: ansible-playbook hpc.jupyter.setup --limit alice@lab)"
    ) in text


def test_a_job_that_dies_at_start_shows_its_last_words(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    script = "/home/alice/.local/share/hpc-jupyter/lab/environment.sh"
    lab.host("login1").write(script, "echo 'the module system is on strike'; exit 7\n", owner="alice", mode=0o600)
    text = failed(alice.play("launch", check=False))
    assert "session default of alice@lab (job " in text
    assert text.count("the module system is on strike") == 1
    assert alice.squeue() == []


def test_an_environment_that_went_away_is_named(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    script = "/home/alice/.local/share/hpc-jupyter/lab/environment.sh"
    lab.host("login1").write(script, "export HPC_JUPYTER_PYTHON=/gone/bin/python\n", owner="alice", mode=0o600)
    text = failed(alice.play("launch", check=False))
    assert "there is no Python to run at /gone/bin/python on c1: the Jupyter environment is missing there" in text

"""hpc-jupyter on a real cluster, as a person at the laptop uses it."""

import json
from typing import Any

import pexpect
import pytest

from hpclab import Lab
from tests.laptop import JUPYTER, Laptop, changed, failed

ENVIRONMENT = "/home/alice/.local/share/hpc-jupyter/lab/environment.sh"


def status_code(lab: Lab, url: str) -> str:
    """The HTTP status that the laptop gets for a URL; 000 where nothing answers."""
    argv = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10", url]
    return lab.host("client").run(argv, user="alice", check=False).stdout


def detached(alice: Laptop, verb: str = "launch", *options: str) -> dict[str, object]:
    told = json.loads(alice.cli(verb, "alice@lab", "--detach", "--json", *options).stdout)
    assert isinstance(told, dict)
    return told


def test_the_first_launch_sets_the_account_up_and_the_second_joins(alice: Laptop, lab: Lab) -> None:
    alice.write_inventory(jupyter_environment_kind="existing", jupyter_environment_path=JUPYTER)
    first = detached(alice, "launch", "--time", "1:00:00")
    assert status_code(lab, str(first["url"])) in ("200", "302")
    assert (first["account"], first["session"], first["state"]) == ("alice@lab", "default", "ready")
    assert first["route"] == "node"
    assert first["node"] == alice.record()["node"]
    assert str(first["ends_at"]).endswith("Z")
    assert detached(alice) == first
    assert len(alice.squeue()) == 1
    assert [each.address for each in lab.host("client").listeners() if each.port == first["port"]] == ["127.0.0.1"]


def test_disconnect_connect_stop(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    first = detached(alice)
    url = str(first["url"])
    assert f"connected here on port {first['port']}" in alice.cli("status").stdout
    assert alice.cli("disconnect", "alice@lab").stdout == (
        "Disconnected from session default of alice@lab; the session goes on\n"
    )
    assert status_code(lab, url) == "000"
    assert "; offered for route node\n" in alice.cli("status").stdout
    again = detached(alice, "connect")
    assert again["url"] == url
    assert status_code(lab, url) in ("200", "302")
    [seen] = json.loads(alice.cli("status", "alice@lab", "--json").stdout)["accounts"]
    assert [(session["state"], session["routes"]) for session in seen["sessions"]] == [("ready", ["node"])]
    assert [held["route"] for held in seen["connections"]] == ["node"]
    assert "hpc-jupyter: session default is ready on" in alice.cli("logs", "alice@lab").stdout
    assert alice.cli("stop", "alice@lab").stdout == f"Stopped session default of alice@lab (job {first['job_id']})\n"
    assert alice.squeue() == []
    assert status_code(lab, url) == "000"
    assert forwards(lab) == []
    assert alice.cli("stop", "alice@lab").stdout == "There is no session default of alice@lab to stop\n"


def forwards(lab: Lab) -> list[list[str]]:
    """The forwards that the laptop still holds."""
    return [argv for _pid, argv in lab.host("client").processes(user="alice") if "-L" in argv]


def test_ctrl_c_detaches_and_the_session_goes_on(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    with alice.connected("launch", "alice@lab"):
        assert forwards(lab)
    assert forwards(lab) == []
    [job] = alice.squeue()
    assert job[2] == "RUNNING"
    assert detached(alice, "connect")["job_id"] == job[0]


@pytest.mark.rows("T7", "T11")
def test_the_token_is_on_no_command_line_and_in_no_file_that_others_can_read(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    with alice.connected("launch", "alice@lab") as opened:
        token = lab.host("login1").read("/home/alice/.local/share/hpc-jupyter/lab/sessions/default/token")
        assert token not in opened
        for host in ("client", "gate", "login1", "login2", "ctl", "c1", "c2"):
            lines = [" ".join(argv) for _pid, argv in lab.host(host).processes()]
            assert [line for line in lines if token in line] == []
            readable = ["grep", "-rIl", token, "/home", "/tmp", "/var/tmp", "/run", "/var/log", "/var/spool"]
            assert lab.host(host).run(readable, user="mallory", check=False).stdout == ""


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--partition", "nosuch"], 5,
            "hpc-jupyter: Slurm refused the job: invalid partition specified: nosuch; "
            "Batch job submission failed: Invalid partition name specified\n",
        ),
        (
            ["--memory", "10 GB"], 2,
            "hpc-jupyter: memory: '10 GB' is not allowed. Write a number and K, M, G or T, such as 8G\n",
        ),
    ],
)  # fmt: skip
def test_a_bad_request_is_one_clear_message(alice: Laptop, options: list[str], code: int, message: str) -> None:
    alice.set_up()
    done = alice.cli("launch", "alice@lab", *options, check=False)
    assert (done.returncode, failed(done).endswith(message)) == (code, True), failed(done)
    assert alice.squeue() == []


def test_an_account_that_nobody_knows(alice: Laptop) -> None:
    done = alice.cli("launch", "alcie@lab", check=False)
    assert done.returncode == 2
    assert failed(done) == "hpc-jupyter: ACCOUNT: 'alcie@lab' is not in the inventory. Did you mean alice@lab?\n"


def test_a_user_whom_the_login_host_does_not_know(alice: Laptop) -> None:
    alice.write_inventory(hpc_user="nobody1")
    done = alice.cli("launch", "alice@lab", check=False)
    assert done.returncode == 3
    assert "lab: login host login: nobody1 was not let in: the account is not known there, or the key" in failed(done)


def at_a_terminal(lab: Lab, verb: str) -> Any:
    """hpc-jupyter with somebody to ask; the terminal is made on the laptop, where its name means something."""
    typed = f"/opt/hpc-jupyter/bin/hpc-jupyter -i inventory {verb} alice@lab"
    argv = ["script", "--quiet", "--return", "--command", typed, "/dev/null"]
    command, *arguments = lab.host("client").argv(argv, user="alice", env={"TERM": "dumb"}, interactive=True)
    return pexpect.spawn(command, arguments, timeout=60, encoding="utf-8")


def test_a_wrong_password_is_asked_for_by_hop_and_refused_by_hop(alice: Laptop, lab: Lab) -> None:
    lab.host("client").run(["rm", "/home/alice/.ssh/id_ed25519"])
    terminal = at_a_terminal(lab, "launch")
    for attempt in range(3):
        terminal.expect_exact("alice@gate's password: ")
        terminal.sendline(f"wrong {attempt}")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3
    assert "lab: gateway gate: alice was not let in" in terminal.before
    assert "Traceback" not in terminal.before


def test_one_password_for_each_hop_and_none_after_that(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    config = "/home/alice/.local/state/hpc-jupyter/alice@lab/ssh_config"
    lab.host("client").run(["ssh", "-F", config, "-O", "exit", "lab"], user="alice", check=False)
    lab.host("client").run(["rm", "/home/alice/.ssh/id_ed25519"])
    terminal = at_a_terminal(lab, "login")
    for hop in ("gate", "login"):
        terminal.expect_exact(f"alice@{hop}'s password: ")
        terminal.sendline(lab.passwords["alice"])
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert changed(alice.play("launch")) == 1
    assert "Ready on" in alice.cli("status", "alice@lab").stdout


def test_a_login_that_no_longer_carries_is_made_anew_or_named(alice: Laptop, lab: Lab) -> None:
    alice.cli("login", "alice@lab")
    lab.cut("gate")
    done = alice.cli("launch", "alice@lab", check=False)
    assert done.returncode == 3
    assert "hpc-jupyter: lab: gateway gate: " in failed(done)
    lab.heal("gate")
    assert alice.cli("login", "alice@lab").stdout == "Logged in to alice@lab\n"


@pytest.mark.rows("F43")
def test_a_job_that_dies_at_start_shows_its_last_words(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    lab.host("login1").write(ENVIRONMENT, "echo 'the module system is on strike'; exit 7\n", owner="alice", mode=0o600)
    done = alice.cli("launch", "alice@lab", check=False)
    assert done.returncode == 5
    assert "the module system is on strike" in failed(done)
    assert alice.squeue() == []


@pytest.mark.rows("F42")
@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("/usr/bin/python3.11", "Set the account up: hpc-jupyter setup alice@lab\n"),
        ("/usr/bin/sbatch", "there is no sbatch on PATH, nor on a login shell's PATH\n"),
    ],
)
def test_what_the_login_host_lacks_is_named(alice: Laptop, lab: Lab, program: str, message: str) -> None:
    alice.set_up()
    login = lab.host("login1")
    login.run(["chmod", "a-x", program])
    try:
        assert failed(alice.cli("launch", "alice@lab", check=False)).endswith(message)
    finally:
        login.run(["chmod", "a+x", program])
    assert alice.squeue() == []

"""The way in from the laptop: through gateway and login host, with pins, keys, passwords, and each way it can fail."""

from __future__ import annotations

import json

import pytest

from hpclab import Lab
from tests.laptop import PREFIX
from tests.person import Person

WRONG = "SHA256:" + "A" * 43
LOG_IN = """\
import os, sys
sys.path.append(os.environ.get("ANSIBLE_COLLECTIONS_PATH", ""))
from ansible_collections.hpc.jupyter.plugins.plugin_utils import cluster, ssh, ssh_config
import json
account = sys.argv[1]
lab = cluster.Cluster.from_facts(json.loads(sys.argv[2]), account=account)
files = ssh_config.write(lab)
print(ssh.open_master(lab, files, askpass=sys.argv[3], timeout_seconds=15))
print(ssh.run_remote(lab, files, ["hostname"]).stdout)
"""


@pytest.fixture
def alice(lab: Lab) -> Person:
    """Alice, to whom nothing has happened yet."""
    return Person(lab)


def opened(told: str) -> bool:
    assert "failed=0" in told, told
    return "opened=True" in told


@pytest.mark.parametrize("name", ["alice", "bob", "mallory"])
@pytest.mark.rows("F41", "F42")
def test_one_login_for_every_play_and_login_shell(alice: Person, name: str) -> None:
    person = Person(alice.lab, name)
    first = person.play()
    assert opened(first)
    assert "there=login1" in first
    assert not opened(person.play("--check"))


def test_the_way_leaves_nothing_in_the_persons_own_ssh_directory(alice: Person) -> None:
    before = sorted(alice.run("ls", "-A", ".ssh").stdout.split())
    alice.play()
    assert sorted(alice.run("ls", "-A", ".ssh").stdout.split()) == before


@pytest.mark.rows("T14")
@pytest.mark.parametrize(("host", "label"), [("gate", "gateway gate"), ("login", "login host login")])
def test_wrong_fingerprint(alice: Person, host: str, label: str) -> None:
    pins = alice.facts()["hpc_host_keys"]
    right = pins[host][0]
    told = alice.play(hpc_host_keys={**pins, host: [WRONG]})
    assert (
        f"lab: {label} presents the ED25519 key {right}, which is not pinned (pinned: {WRONG}). Nothing was sent. "
        "Either this is not the right host, or its key is new: compare with what the site publishes, then correct "
        "hpc_host_keys"
    ) in told


def test_unknown_account_fails_alone(alice: Person) -> None:
    told = alice.play(accounts=("alice@lab", "nobody1@lab"))
    assert (
        "lab: gateway gate: nobody1 was not let in: the account is not known there, or the key or password is not "
        "accepted (it takes: publickey, password). With a password or a code: run hpc-jupyter in a terminal. "
        "To have a key let in: ansible-playbook hpc.jupyter.onboard --ask-pass. Check the user's name; "
        "a key with a passphrase must be in the agent (ssh-add)"
    ) in told
    assert "there=login1" in told


@pytest.mark.rows("T26")
def test_root_is_refused_before_anything_is_contacted(alice: Person) -> None:
    alice.lab.cut("gate")
    told = alice.play(accounts=("root@lab",))
    assert "hpc_user: root@lab would log in as root, which is refused on clusters. Use a person's own account" in told


def test_gateway_that_is_cut_off(alice: Person) -> None:
    alice.lab.cut("gate")
    told = alice.play(patience=4)
    assert "lab: gateway gate" in told
    assert "heck this machine's network or VPN" in told or "Check that it is up" in told


def test_login_hosts_that_are_cut_off(alice: Person) -> None:
    alice.lab.cut("login1")
    alice.lab.cut("login2")
    told = alice.play(patience=4)
    assert "lab: login host login" in told
    assert "within 4 seconds" in told or "cannot be reached from gate (No route to host)" in told


def test_login_host_that_lets_nobody_near(alice: Person) -> None:
    told = alice.play(hpc_login_port=2222)
    assert (
        "lab: login host login cannot be reached from gate (No route to host). Try later, or ask the site whether it "
        "is down"
    ) in told


def test_password_given_to_ansible_opens_both_doors(alice: Person) -> None:
    alice.forget_keys()
    assert "To have a key let in: ansible-playbook hpc.jupyter.onboard --ask-pass." in alice.play()
    secret = alice.write("secret", alice.lab.passwords["alice"] + "\n")
    told = alice.play("--connection-password-file", secret, "-vvvvv")
    assert opened(told)
    assert "there=login1" in told
    assert alice.lab.passwords["alice"] not in told
    assert not opened(alice.play())
    assert alice.run("grep", "-r", alice.lab.passwords["alice"], ".local", ".ansible").stdout == ""


def test_wrong_password_given_to_ansible(alice: Person) -> None:
    alice.forget_keys()
    told = alice.play("--connection-password-file", alice.write("secret", "wrong\n"))
    assert (
        "lab: gateway gate: alice was not let in: the account is not known there, or the key or password is not "
        "accepted (it takes: publickey, password). Check the user's name; a key with a passphrase must be in the agent "
        "(ssh-add)"
    ) in told


def test_password_asked_for_at_each_hop(alice: Person) -> None:
    alice.forget_keys()
    asked = "/home/alice/asked"
    askpass = alice.write("askpass", f'#!/bin/sh\necho "$1" >> {asked}\necho "$WORD"\n', mode=0o700)
    program = alice.write("log_in.py", LOG_IN)
    argv = [f"{PREFIX}/bin/python", program, "alice@lab", json.dumps(alice.facts()), askpass]
    done = alice.run(*argv, env={"WORD": alice.lab.passwords["alice"]})
    assert (done.returncode, done.stdout) == (0, "True\nlogin1\n\n"), done.stderr
    assert alice.run("cat", asked).stdout.splitlines() == ["alice@gate's password: ", "alice@login's password: "]
    assert alice.run(*argv).stdout == "False\nlogin1\n\n"


def test_wrong_password_is_told_after_three_tries(alice: Person) -> None:
    alice.forget_keys()
    askpass = alice.write("askpass", "#!/bin/sh\necho wrong\n", mode=0o700)
    program = alice.write("log_in.py", LOG_IN)
    done = alice.run(f"{PREFIX}/bin/python", program, "alice@lab", json.dumps(alice.facts()), askpass)
    assert "lab: gateway gate: alice was not let in" in done.stderr

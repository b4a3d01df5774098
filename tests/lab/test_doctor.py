"""The doctor, on a real cluster: a healthy account, then one thing after another that is wrong with it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from hpclab import Lab
from hpclab.process import until
from tests.laptop import PREFIX, Laptop, failed

WRONG = "SHA256:" + "A" * 43


def examine(person: Laptop, *more: str, code: int) -> dict[str, list[dict[str, str]]]:
    """The checks by name, as ``--json`` gives them."""
    done = person.cli("doctor", person.account, "--json", *more, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    [account] = json.loads(done.stdout)["accounts"]
    found: dict[str, list[dict[str, str]]] = {}
    for check in account["checks"]:
        found.setdefault(check["check"], []).append(check)
    return found


def states(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {name: check["state"] for name, checks in found.items() for check in checks}


def _settled(person: Laptop) -> str:
    """The account's files, empty while they change: a session writes a little more when it has just become ready."""
    seen = person.listing()
    time.sleep(1)
    return seen if person.listing() == seen else ""


def test_a_healthy_account_and_its_session(alice: Laptop) -> None:
    alice.set_up()
    alice.play("launch")
    before = until(lambda: _settled(alice), what="the end of what a new session writes", seconds=20).splitlines()
    client = alice.lab.host("client")
    client.run([f"{PREFIX}/bin/hpc-jupyter", "logout", alice.account, "-i", "inventory"], user="alice", check=False)
    found = examine(alice, "--bundle", "ticket.txt", code=0)
    assert {name: state for name, state in states(found).items() if state == "fail"} == {}
    assert found["name"][0]["text"].startswith("gateway gate is ")
    assert found["login"][-1]["text"] == "login host login lets alice in by publickey"
    assert found["job"][0]["text"] == "a session with the defaults would be taken"
    assert found["jupyter"][0]["text"].startswith("JupyterLab 4.")
    assert "session default on c" in found["route"][0]["text"]
    assert "node" in found["route"][0]["text"]
    assert sorted({*alice.listing().splitlines()} ^ {*before}) == []
    ticket = client.read("/home/alice/ticket.txt")
    assert "alice" not in ticket
    assert "login host login lets user1 in by publickey" in ticket
    assert alice.record()["base_url"].strip("/").rpartition("/")[2] not in ticket


@pytest.mark.parametrize(
    ("facts", "name", "text"),
    [
        ({"hpc_rute": "node"}, "facts", "hpc_rute: is not a cluster fact"),
        ({"hpc_gateways": ["nowhere.invalid"]}, "name", "gateway nowhere.invalid: the name is not known here ("),
        ({"hpc_gateways": ["gate:2222"]}, "port", "gateway gate: port 2222 cannot be reached ("),
        ({"hpc_gateways": ["nobody1@gate"]}, "login", "gateway gate: nobody1 was not let in"),
    ],
)
def test_what_is_wrong_on_the_way(alice: Laptop, facts: dict[str, Any], name: str, text: str) -> None:
    alice.write_inventory(**facts)
    found = examine(alice, code=1)
    assert found[name][-1]["state"] == "fail"
    assert text in found[name][-1]["text"]
    assert found[name][-1]["remedy"]


def test_what_is_wrong_on_the_account(alice: Laptop, lab: Lab) -> None:
    pins = lab.facts()["host_keys"]
    alice.write_inventory(hpc_host_keys={**pins, "login": [WRONG]})
    found = examine(alice, code=1)
    assert (found["login"][-1]["state"], found["host key"][-1]["state"]) == ("ok", "fail")
    assert "login host login presents the ED25519 key" in found["host key"][-1]["text"]

    alice.write_inventory(jupyter_session_partition="nowhere")
    lab.host("login1").write("/home/alice/.bashrc", "echo Welcome to the cluster\n", owner="alice")
    lab.host("login1").run(["chmod", "g+w", "/home/alice"])
    found = examine(alice, code=1)
    assert found["shell"][0]["text"].endswith("beginning with 'Welcome to the cluster'")
    assert found["home"][-1]["remedy"] == "chmod go-w /home/alice"
    assert found["job"][0]["text"].startswith("a session with partition nowhere would be refused: ")
    assert found["jupyter"][0]["remedy"] == "Set the account up: hpc-jupyter setup alice@lab"
    lab.host("login1").run(["chmod", "g-w", "/home/alice"])


def test_the_play_fails_for_the_account_that_is_not_well_alone(alice: Laptop) -> None:
    alice.name_cluster("broken", jupyter_session_partition="nowhere")
    text = failed(alice.play("doctor", check=False))
    assert "fail job         a session with partition nowhere would be refused: " in text
    assert "ok   job         a session with the defaults would be taken" in text
    assert re.findall(r"^(\S+) +: .* failed=(\d)", text, re.MULTILINE) == [("alice@broken", "1"), ("alice@lab", "0")]

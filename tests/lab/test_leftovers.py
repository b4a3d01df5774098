"""What a killed command and a lost record leave on a real cluster is told by the next command, and ended."""

import json
from typing import Any

import pytest

from hpclab import Lab
from tests.laptop import Laptop

DIRECTORY = "/home/alice/.local/share/hpc-jupyter/lab/sessions/default"
"""A record alone that is lost, its supervisor writes again."""


def row(alice: Laptop) -> dict[str, Any]:
    [seen] = json.loads(alice.cli("status", "alice@lab", "--json").stdout)["accounts"]
    assert isinstance(seen, dict)
    return seen


@pytest.mark.rows("F34")
def test_a_job_outlives_the_laptop_s_process_and_its_record(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    client = lab.host("client")
    told = json.loads(alice.cli("launch", "alice@lab", "--detach", "--json").stdout)
    client.run(["kill", "-9", str(told["pid"])])
    killed = row(alice)
    assert [(each["state"], each["job_id"]) for each in killed["sessions"]] == [("ready", told["job_id"])]
    assert [(each["kind"], each["remedy"]) for each in killed["leftovers"]] == [
        ("forward", "hpc-jupyter -i inventory clean alice@lab")
    ]
    lab.host("login1").run(["rm", "-r", DIRECTORY])
    lost = f"job {told['job_id']} of session default (running on {told['node']}): no record knows it, since "
    shown = alice.cli("status", "alice@lab").stdout
    assert shown.startswith(f"alice@lab: no session\n  left over: {lost}"), shown
    assert "; ended by: hpc-jupyter -i inventory stop alice@lab\n" in shown
    cleaned = alice.cli("clean", "alice@lab", "--yes").stdout
    assert cleaned.startswith("Removed alice@lab: "), cleaned
    assert f"\nNot ended: alice@lab: {lost}" in cleaned
    assert [argv for _pid, argv in client.processes(user="alice") if "-L" in argv] == []
    assert [job[:1] + job[2:3] for job in alice.squeue()] == [[told["job_id"], "RUNNING"]]
    assert alice.cli("stop", "alice@lab", "--all").stdout == "Stopped default of alice@lab\n"
    assert alice.squeue() == []

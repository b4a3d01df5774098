"""A connection that is held on the laptop heals under the same local address, through gateway, login host and node."""

import json
import re
import time

import pytest

from hpclab import Lab
from tests.healing import Holding
from tests.laptop import Laptop

CUT_SECONDS = 5

@pytest.mark.rows("F20", "F25", "F45", "F7", "F11")
def test_what_breaks_under_a_session_and_the_session_itself(alice: Laptop, lab: Lab) -> None:
    held = Holding.launch(alice)
    _a_short_cut_replaces_nothing(held, lab)
    _killed_processes_are_replaced(held)
    _a_requeued_job_is_followed(held, lab)
    _a_cancelled_one_is_the_end(held, lab)


def _a_short_cut_replaces_nothing(held: Holding, lab: Lab) -> None:
    before = (held.ssh(), held.master())
    lab.cut("gate")
    time.sleep(CUT_SECONDS)
    lab.heal("gate")
    held.until(held.answers)
    assert (held.ssh(), held.master()) == before


def _killed_processes_are_replaced(held: Holding) -> None:
    [forward, jump] = held.ssh()
    held.kill(jump)
    held.until(lambda: forward not in held.ssh() and held.is_settled())
    master = held.master()
    held.kill(master)
    held.until(lambda: held.master() not in (0, master) and held.is_settled())


def _a_requeued_job_is_followed(held: Holding, lab: Lab) -> None:
    job, node = str(held.told["job_id"]), str(held.told["node"])
    login = lab.host("login1")
    login.run(["scontrol", "requeue", job], user="alice")
    held.until(lambda: held.alice.squeue()[0][2] == "PENDING")
    login.run(["scontrol", "update", f"jobid={job}", f"ExcNodeList={node}", "StartTime=now"], user="alice")
    held.until(held.answers)
    new = held.alice.record()["node"]
    assert new != node
    held.until(lambda: [line for line in held.log() if re.fullmatch(rf"Back after \d+ s, now on {new}", line)])
    again = json.loads(held.alice.cli("connect", "alice@lab", "--detach", "--json", "--no-browser").stdout)
    assert (again["url"], again["pid"]) == (held.told["url"], held.holder)


def _a_cancelled_one_is_the_end(held: Holding, lab: Lab) -> None:
    lab.host("login1").run(["scancel", str(held.told["job_id"])], user="alice")
    held.until(lambda: held.holder not in held.all_of_ours())
    assert held.log()[-1] == (
        "hpc-jupyter: Session default has ended (stopped: stopped on request). "
        "Start a new one: hpc-jupyter -i /home/alice/inventory launch alice@lab"
    )
    assert held.ssh() == []

"""Sessions whose time runs out on a real Slurm, while somebody is connected: told before, named after."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from typing import Any

import pytest

from hpclab import Lab
from hpclab.process import until
from tests.chromium import SHOTS, chromium
from tests.laptop import PREFIX, Laptop

SECONDS = 500
"""Two minutes and one more, in steps of Slurm's, and a slow machine."""
PAGE = """\
while curl -sf --unix-socket {socket} -H @- -o /dev/null http://localhost{base_url}api/sessions <<END
Authorization: token {token}
END
do sleep 1; done
"""
"""What an open JupyterLab asks all the time."""


def _launched(alice: Laptop, *options: str) -> Popen[Any]:
    """A launch that holds its connection."""
    argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", "launch", alice.account, "--no-browser", *options]
    return alice.lab.host("client").popen(argv, user="alice", stdout=PIPE, stderr=STDOUT)


def _until_it_holds(launched: Popen[Any]) -> str:
    """What a launch says until it knows the session and its time."""
    said = ""
    assert launched.stdout is not None
    for line in launched.stdout:
        said += line
        if line.startswith("Ctrl-C ends this connection"):
            break
    return said


def _is_ready(alice: Laptop) -> bool:
    path = f"/home/alice/.local/share/hpc-jupyter/{alice.cluster}/sessions/default/record.json"
    if not alice.login.exists(path):
        return False
    record = alice.record()
    return bool(record["state"] == "ready" and record["ends_at"])


@pytest.mark.timeout(600)
@pytest.mark.rows("F9")
def test_a_walltime_that_is_extended_is_followed_and_its_end_is_named(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    with _launched(alice, "--time", "0:02:00") as launched:
        until(lambda: _is_ready(alice) or launched.poll() is not None, what="a session", seconds=120)
        told = _until_it_holds(launched)
        before = alice.record()
        alice.login.run(["scontrol", "update", f"JobId={before['job_id']}", "TimeLimit=3"])
        told += str(launched.communicate(timeout=SECONDS)[0])
    after = alice.record()
    assert launched.returncode == 4, told
    assert "Warning: session default of alice@lab ends at " in told
    assert "The time of session default of alice@lab has changed: " in told
    assert "Session default has ended (time limit: the job's time is over)" in told
    assert "Still trying" not in told
    # The supervisor itself has said so: Slurm asks a job to end before it makes it.
    assert (after["how"], after["reason"]) == ("time limit", "the job's time is over")
    assert after["ends_at"] > before["ends_at"]
    assert "warning: the session's time is over in 1 min" in alice.cli("logs", alice.account).stdout
    until(lambda: alice.squeue() == [], what="nothing in the queue", seconds=60)


@pytest.mark.timeout(600)
@pytest.mark.rows("F46")
def test_an_open_page_that_nobody_uses_keeps_no_allocation(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    with _launched(alice, "--idle", "0:01:00") as launched:
        until(lambda: _is_ready(alice) or launched.poll() is not None, what="a session", seconds=120)
        node, record = lab.host(alice.record()["node"]), alice.record()
        token = alice.login.read(f"/home/alice/.local/share/hpc-jupyter/{alice.cluster}/sessions/default/token")
        script = PAGE.format(socket=record["socket"], base_url=record["base_url"], token=token)
        with node.popen(["sh", "-c", script], user="alice") as page:
            told = str(launched.communicate(timeout=SECONDS)[0])
            page.wait(timeout=60)
    assert launched.returncode == 4, told
    assert "Session default has ended (idle: nobody used it for 60 seconds)" in told
    until(lambda: alice.squeue() == [], what="nothing in the queue", seconds=60)
    shown = json.loads(alice.cli("status", alice.account, "--json").stdout)
    assert [(each["state"], each["how"]) for each in shown["accounts"][0]["sessions"]] == [("ended", "idle")]


@pytest.mark.timeout(600)
@pytest.mark.rows("F46")
def test_the_page_warns_before_it_ends_for_idleness_and_goes_on_if_somebody_is_there(
    alice: Laptop, lab: Lab, tmp_path: Path
) -> None:
    alice.set_up()
    wanted = ("--idle", "0:02:00", "--time", "0:50:00")
    with chromium(lab, tmp_path) as browser, alice.connected("launch", alice.account, *wanted) as url:
        page = browser.new_page()
        page.goto(url)
        notice = page.locator("#hpc-jupyter-notice")
        notice.wait_for(timeout=150_000)
        words = r"Nobody uses this session, so it ends at .+ \(in .+\)\. Go on working here to keep it\."
        assert re.fullmatch(words, notice.locator("span").inner_text())
        page.screenshot(path=SHOTS / "notice-of-idleness.png")
        page.keyboard.press("Shift")
        notice.wait_for(state="detached", timeout=15_000)
        assert alice.record()["state"] == "ready"
        # From here on JupyterLab is open and nobody is there.
        until(lambda: alice.record()["state"] == "ended", what="the end of an unused session", seconds=240)
        page.get_by_text("Nobody has used this session: it ended at ").wait_for(timeout=90_000)
    assert (alice.record()["how"], alice.record()["reason"]) == ("idle", "nobody used it for 120 seconds")

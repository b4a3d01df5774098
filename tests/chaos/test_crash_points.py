"""A launch or a stop that is killed, at a real Slurm, at every step of the module's and of the controller's."""

import json
from pathlib import Path

import pytest

from hpclab import Lab
from tests import faults
from tests.chaos.killing import events
from tests.laptop import PREFIX, Laptop, changed

ROOT = "/home/alice/.local/share/hpc-jupyter/lab"
CRASHING = Path(__file__).parent.parent / "crashing.py"


@pytest.fixture(name="tiny")
def _tiny(alice: Laptop) -> Laptop:
    alice.set_up()
    faults.tiny_jobs(alice)
    return alice


@pytest.mark.timeout(3600)
@pytest.mark.rows("F2", "F35")
@pytest.mark.parametrize(("verb", "least_steps"), [("start", 30), ("stop", 6)])
def test_a_command_that_is_killed_at_any_step_is_made_good_by_the_next(
    tiny: Laptop, verb: str, least_steps: int
) -> None:
    tiny.login.write("/srv/crashing.py", CRASHING.read_text(encoding="utf-8"))
    argv = ["python3", "/srv/crashing.py", ROOT, verb, "slurm"]
    walked = tiny.login.run(argv, user="alice", env={"PYTHONPATH": f"{ROOT}/hpc-session"}, timeout=3000)
    told = json.loads(walked.stdout)
    assert told["problems"] == []
    assert told["steps"] >= least_steps
    assert tiny.squeue() == []


@pytest.mark.timeout(3600)
@pytest.mark.rows("F48")
@pytest.mark.parametrize("connection", [False, True])
@pytest.mark.parametrize("play", ["launch", "stop"])
def test_a_playbook_that_is_killed_or_cut_off_at_any_event_is_made_good_by_the_next(
    tiny: Laptop, lab: Lab, play: str, connection: bool
) -> None:
    back = [f"{ROOT}/hpc-session", *{"launch": ["stop"], "stop": ["start", "--time", "0:10:00"]}[play]]
    argv = [f"{PREFIX}/bin/ansible-playbook", "-i", "inventory", f"hpc.jupyter.{play}"]
    tiny.login.run(back, user="alice", timeout=120)
    killed = 0
    for number in events(lab, argv, connection=connection):
        killed = number
        assert len(tiny.squeue()) <= 1
        tiny.play(play)
        jobs, state = tiny.squeue(), tiny.record()["state"]
        assert (len(jobs), state) == ((1, "ready") if play == "launch" else (0, "ended")), number
        tiny.login.run(back, user="alice", timeout=120)
    assert killed > 5
    tiny.play("stop")
    assert tiny.squeue() == []


@pytest.mark.timeout(3600)
@pytest.mark.rows("F34", "F48")
def test_a_launch_that_is_killed_at_any_line_is_joined_by_the_next(alice: Laptop, lab: Lab) -> None:
    alice.set_up()
    asked = ["launch", alice.account, "--detach", "--no-browser", "--explain"]
    argv = [f"{PREFIX}/bin/hpc-jupyter", "-i", "inventory", *asked]
    killed = 0
    for number in events(lab, argv):
        killed = number
        assert len(alice.squeue()) <= 1
        told = json.loads(alice.cli(*asked, "--json", timeout=250).stdout)
        assert [job[0] for job in alice.squeue()] == [told["job_id"]], number
        page = lab.host("client").run(["curl", "-sSL", "--cookie-jar", "/dev/null", told["url"]]).stdout
        assert "JupyterLab" in page, number
        alice.cli("stop", alice.account)
        assert alice.squeue() == []
    assert killed > 3


@pytest.mark.timeout(900)
@pytest.mark.rows("F5")
def test_a_submit_that_comes_after_the_next_one_steps_back(tiny: Laptop, lab: Lab) -> None:
    """The first submit is held up for longer than anybody waits for it; the second one has the session by then."""
    goes, login, own = "/tmp/late-goes", tiny.login, [f"{ROOT}/hpc-session", "start", "--time", "0:10:00"]
    late = f'(until [ -e {goes} ]; do sleep 0.2; done; exec /usr/bin/sbatch "$@") >/dev/null 2>&1 &\n'
    words = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
    login.write(faults.SBATCH, f"#!/bin/sh\n{late}echo '{words}' >&2\nexit 1\n", mode=0o755)
    try:
        first = login.run(own, user="alice", check=False, timeout=200)
        assert "sbatch could not say whether it submitted" in first.stderr
        assert tiny.squeue() == []
        login.run(["rm", faults.SBATCH])
        login.run(own, user="alice", timeout=200)
        before, [job] = tiny.record(), tiny.squeue()
        login.run(["touch", goes])
        log = f"{ROOT}/sessions/default/job.log"
        login.run(["sh", "-c", f"until grep -q 'steps back' {log}; do sleep 0.2; done"], timeout=120)
    finally:
        login.run(["rm", "-f", faults.SBATCH, goes])
    assert tiny.record() == before
    login.run([f"{ROOT}/hpc-session", "stop"], user="alice", timeout=120)
    assert tiny.squeue() == []
    assert job[0] == before["job_id"]


@pytest.mark.timeout(900)
@pytest.mark.rows("F4")
def test_a_scheduler_that_hangs_is_given_up_at_a_deadline(tiny: Laptop) -> None:
    login, own = tiny.login, f"{ROOT}/hpc-session"
    login.run([own, "start", "--time", "0:10:00"], user="alice", timeout=120)
    [job] = tiny.squeue()
    login.write("/usr/local/bin/squeue", "#!/bin/sh\nexec sleep 1000\n", mode=0o755)
    try:
        told = login.run([own, "stop"], user="alice", check=False, timeout=90)
    finally:
        login.run(["rm", "/usr/local/bin/squeue"])
    assert (told.returncode, tiny.squeue()) == (3, [job])
    words = "slurm cannot be asked, so nothing was stopped: squeue did not answer within 30 seconds"
    assert told.stderr == f"hpc-session: {words}\n"
    assert changed(tiny.play("stop")) == 1

"""One job for a session at a real Slurm: answers that say nothing, doubles, a full disk, two machines, kills."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from hpclab import Lab
from hpclab.process import until
from tests import faults
from tests.laptop import PREFIX, Laptop, changed

SQUEUE = "/usr/local/bin/squeue"
SILENCES = (
    "exit 0",
    "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    '/usr/bin/squeue "$@" | head -c 20',
)
ROOT = "/home/alice/.local/share/hpc-jupyter/lab"
OWN = f"{ROOT}/hpc-session"
CRASHING = Path(__file__).parent.parent / "crashing.py"


@pytest.fixture(name="tiny")
def _tiny(alice: Laptop) -> Laptop:
    alice.set_up()
    faults.tiny_jobs(alice)
    return alice


@contextmanager
def squeue_of(person: Laptop, script: str) -> Iterator[None]:
    """The login host's ``squeue`` is another one."""
    person.login.write(SQUEUE, f"#!/bin/sh\n{script}\n", mode=0o755)
    try:
        yield
    finally:
        person.login.run(["rm", SQUEUE])


def own(person: Laptop, *arguments: str, host: str = "login1", cwd: str | None = None) -> tuple[int, str]:
    """The account's own command: exit code, and all that it says."""
    done = person.lab.host(host).run([OWN, *arguments], user=person.user, check=False, timeout=150, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.rows("F3", "F4", "F14")
def test_no_answer_starts_nothing_and_ends_nothing(tiny: Laptop) -> None:
    for script in SILENCES:
        with squeue_of(tiny, script):
            code, told = own(tiny, "start", "--wait", "0")
        assert code == 3, told
        assert "slurm cannot be asked on login1, so nothing was submitted: squeue" in told
    assert tiny.squeue() == []
    assert own(tiny, "start", "--time", "0:10:00", cwd="/")[0] == 0
    [job] = tiny.squeue()
    for script in SILENCES:
        with squeue_of(tiny, script):
            assert own(tiny, "start", "--wait", "0")[0] == 6
            code, told = own(tiny, "stop")
        assert (code, tiny.squeue()) == (3, [job])
        assert "slurm cannot be asked, so nothing was stopped: squeue" in told
    assert own(tiny, "stop") == (0, f"session default is stopped (job {job[0]})\n")


@pytest.mark.rows("F5")
def test_a_late_double_neither_runs_beside_the_session_nor_stays_in_the_queue(tiny: Laptop) -> None:
    assert own(tiny, "start", "--time", "0:10:00")[0] == 0
    [[job, name, *_rest]] = tiny.squeue()
    before = tiny.record()
    script = [f"{ROOT}/job.sh", f"{ROOT}/sessions/default"]

    def submit(*options: str, generation: int) -> str:
        argv = ["sbatch", "--parsable", f"--job-name={name}", "--output=/dev/null", *options, *script, str(generation)]
        return tiny.login.run(argv, user="alice").stdout.strip()

    late = [submit(generation=number) for number in (before["generation"], before["generation"] - 1)]
    until(lambda: [each[0] for each in tiny.squeue()] == [job], what="end of the late jobs", seconds=30)
    states = ["squeue", "--noheader", "--states=all", "--format=%T", "--jobs"]
    assert [tiny.login.run([*states, each]).stdout.strip() for each in late] == ["COMPLETED", "COMPLETED"]
    assert tiny.record() == before
    submit("--begin=now+1hour", generation=before["generation"])
    assert own(tiny, "start", "--wait", "0")[0] == 0
    assert [each[0] for each in tiny.squeue()] == [job]
    submit("--begin=now+1hour", generation=before["generation"])
    assert own(tiny, "stop")[0] == 0
    assert tiny.squeue() == []


@pytest.mark.rows("F15")
def test_a_full_home_is_refused_before_anything_is_submitted(tiny: Laptop) -> None:
    login, place = tiny.login, f"{ROOT}/sessions"
    login.run(["install", "-d", "-o", "alice", "-m", "0700", place])
    login.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700,uid=2001,nr_inodes=40", "tmpfs", place])
    try:
        code, told = own(tiny, "start", "--wait", "0")
    finally:
        login.run(["umount", place])
    assert (code, told) == (1, (
        f"hpc-session: there is no room for the session's files in {place}/default on login1: No space left on device. "
        "Nothing was submitted; make room in the home directory and try again\n"
    ))
    assert tiny.squeue() == []


@pytest.mark.rows("F36")
def test_two_machines_at_once_have_one_session(tiny: Laptop) -> None:
    with ThreadPoolExecutor(4) as both:
        hosts = ["login1", "login2"] * 2
        done = list(both.map(lambda host: own(tiny, "start", "--time", "0:10:00", host=host), hosts))
    [job] = tiny.squeue()
    assert [code for code, _told in done] == [0, 0, 0, 0], done
    assert sum(told.startswith("found: ") for _code, told in done) == 3
    assert all(f"as job {job[0]}" in told for _code, told in done)
    with ThreadPoolExecutor(2) as both:
        codes = [code for code, _told in both.map(lambda host: own(tiny, "stop", host=host), hosts[:2])]
    assert (codes, tiny.squeue()) == ([0, 0], [])


@pytest.mark.rows("F36", "F37")
def test_two_laptops_at_once_are_attached_to_one_session(alice: Laptop, lab: Lab) -> None:
    """Each has a state of its own; the clock of the second is ten minutes ahead."""
    alice.set_up()
    ahead = "import time\n_now = time.time\ntime.time = lambda: _now() + 600\n"
    lab.host("client").write("/srv/ahead/sitecustomize.py", ahead)
    machines: tuple[dict[str, str], ...] = ({}, {"XDG_STATE_HOME": "/home/alice/second", "PYTHONPATH": "/srv/ahead"})
    argv = ("-i", "inventory", "launch", alice.account, "--detach", "--no-browser", "--json")
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda env: alice.run("hpc-jupyter", *argv, timeout=250, env=env), machines))
    told = [json.loads(each.stdout) for each in done]
    [job] = alice.squeue()
    assert [each["job_id"] for each in told] == [job[0], job[0]]
    assert told[0]["port"] != told[1]["port"]
    for each in told:
        assert "JupyterLab" in lab.host("client").run(["curl", "-sSL", "--cookie-jar", "/dev/null", each["url"]]).stdout
    for env in machines:
        alice.run("hpc-jupyter", "-i", "inventory", "stop", alice.account, env=env)
    assert alice.squeue() == []


@pytest.mark.rows("F2", "F35")
def test_a_command_that_dies_right_after_it_has_asked_slurm_is_made_good(tiny: Laptop) -> None:
    tiny.login.write("/srv/crashing.py", CRASHING.read_text(encoding="utf-8"))
    argv = ["python3", "/srv/crashing.py", ROOT, "start", "slurm", "after"]
    walked = tiny.login.run(argv, user="alice", env={"PYTHONPATH": OWN}, timeout=280)
    told = json.loads(walked.stdout)
    assert told["problems"] == []
    assert told["steps"] >= 3
    assert tiny.squeue() == []


@pytest.mark.rows("F48")
def test_a_playbook_that_is_killed_while_it_submits_is_made_good_by_the_next(tiny: Laptop, lab: Lab) -> None:
    """What it started on the login host goes on; the next one waits for that, and finds its job."""
    waits, goes, login = "/tmp/sbatch-waits", "/tmp/sbatch-goes", tiny.login
    script = f'#!/bin/sh\ntouch {waits}; until [ -e {goes} ]; do sleep 0.05; done\nexec /usr/bin/sbatch "$@"\n'
    login.write(faults.SBATCH, script, mode=0o755)
    argv = [f"{PREFIX}/bin/ansible-playbook", "-i", "inventory", "hpc.jupyter.launch"]
    try:
        with lab.host("client").popen(argv, user="alice", stdout=PIPE, stderr=STDOUT) as play:
            login.run(["sh", "-c", f"until [ -e {waits} ]; do sleep 0.05; done"], timeout=60)
            play.kill()
            play.communicate(timeout=60)
        login.run(["touch", goes])
        changed(tiny.play("launch"))
    finally:
        login.run(["rm", "-f", faults.SBATCH, waits, goes])
    [job] = tiny.squeue()
    assert (tiny.record()["job_id"], tiny.record()["state"]) == (job[0], "ready")
    assert changed(tiny.play("stop")) == 1
    assert tiny.squeue() == []

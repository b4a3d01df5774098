# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine without a queue, with real processes: a stand-in job script, nothing else is put in place of anything."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    HpcJupyterError,
    SchedulerUnavailable,
    SubmitRefused,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import none
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import GONE, RUNNING, Order

_SLEEPER = "#!/bin/bash\necho started in $PWD\nsleep 600 &\nwait\n"
_STUBBORN = """#!/bin/bash
trap '' TERM
setsid sleep 600 &
echo $! >"$1/kernel"
while :; do sleep 600 & wait $!; done
"""
_NOTHING_SPECIAL = Resources()


class Account:
    """An account directory with a job script in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scheduler = none.NoScheduler(root=str(root))
        self.jobs: list[str] = []

    def submit(self, script: str = _SLEEPER, session: str = "default", resources: Resources = _NOTHING_SPECIAL) -> str:
        directory = self.root / "sessions" / session
        directory.mkdir(parents=True, exist_ok=True)
        (self.root / "job.sh").write_text(script)
        (self.root / "job.sh").chmod(0o755)
        argv = (str(self.root / "job.sh"), str(directory), "1")
        order = Order(f"hpc-jupyter-{session}-0a1b2c", argv, str(self.root), str(directory / "job.log"), resources)
        self.jobs.append(self.scheduler.submit(order))
        return self.jobs[-1]


@pytest.fixture(name="account")
def _account(tmp_path: Path) -> Iterator[Account]:
    account = Account(tmp_path)
    yield account
    for job in account.jobs:
        account.scheduler.cancel(job)


def _wait(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def _commands(pid: int) -> list[str]:
    table = children.processes()
    return [table[child].command for child in children.descendants(pid, table)]


def _pid(job: str) -> int:
    return int(job.split(".", maxsplit=1)[0])


def test_a_job_runs_in_a_session_of_its_own_and_writes_to_the_log(account: Account) -> None:
    job = account.submit()
    log = account.root / "sessions" / "default" / "job.log"
    _wait(lambda: log.exists() and log.read_text() == f"started in {account.root}\n")
    assert os.getsid(_pid(job)) == _pid(job)
    process = children.process(_pid(job))
    assert process is not None
    assert process.parent != os.getpid()
    assert job == f"{_pid(job)}.default@{socket.gethostname()}"


def test_a_running_job_is_queried_and_found_by_its_name_once(account: Account) -> None:
    job = account.submit()
    assert account.scheduler.query(job).phase == RUNNING
    assert [found.job_id for found in account.scheduler.find("hpc-jupyter-default-0a1b2c")] == [job]
    assert account.scheduler.find("hpc-jupyter-other") == []
    assert [(name, found.job_id) for name, found in account.scheduler.sessions()] == [("default", job)]


def test_jobs_of_another_account_directory_are_not_found(account: Account, tmp_path: Path) -> None:
    account.submit()
    assert none.NoScheduler(root=str(tmp_path / "other")).find("hpc-jupyter-default-0a1b2c") == []


def test_a_cancelled_job_is_gone_with_all_its_children(account: Account) -> None:
    job = account.submit()
    _wait(lambda: "sleep 600" in _commands(_pid(job)))
    everything = [_pid(job), *children.descendants(_pid(job))]
    account.scheduler.cancel(job)
    _wait(lambda: not [pid for pid in everything if children.process(pid)])
    assert account.scheduler.query(job).phase == GONE
    assert account.scheduler.find("hpc-jupyter-default-0a1b2c") == []
    account.scheduler.cancel(job)


def test_a_job_that_ignores_term_is_killed_with_what_it_put_in_other_sessions(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(none, "_GRACE_SECONDS", 0.5)
    job = account.submit(_STUBBORN)
    note = account.root / "sessions" / "default" / "kernel"
    _wait(lambda: note.exists() and note.read_text().strip() != "")
    account.scheduler.cancel(job)
    _wait(lambda: children.process(_pid(job)) is None)
    _wait(lambda: children.process(int(note.read_text())) is None)


def test_a_process_id_that_came_round_again_is_not_taken_for_the_job(account: Account) -> None:
    other = account.submit(session="other")
    reused = other.replace(".other@", ".default@")
    assert account.scheduler.query(reused).phase == GONE
    account.scheduler.cancel(reused)
    assert account.scheduler.query(other).phase == RUNNING
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        account.scheduler.cancel(f"{bystander.pid}.default@{socket.gethostname()}")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_job_of_another_host_cannot_be_judged_here(account: Account) -> None:
    words = f"the session runs on elsewhere and can only be asked for there; this is {socket.gethostname()}"
    with pytest.raises(SchedulerUnavailable) as raised:
        account.scheduler.query("42.default@elsewhere")
    assert str(raised.value) == words
    with pytest.raises(SchedulerUnavailable):
        account.scheduler.cancel("42.default@elsewhere")


@pytest.mark.parametrize(("resources", "words"), [
    (Resources(cpus="4"), "cpus: there is no scheduler here to grant them."),
    (Resources(memory="8G"), "memory: there is no scheduler here to grant them."),
    (Resources(gpus="1"), "gpus: there is no scheduler here to grant them."),
    (Resources(exclusive=True), "exclusive: there is no scheduler here to grant them."),
    (Resources(partition="gpu"), "partition: there is no scheduler here that knows it."),
    (Resources(extra=("--x",)), "extra: there is no scheduler here that knows it."),
])
def test_what_nobody_here_can_grant_is_refused(account: Account, resources: Resources, words: str) -> None:
    with pytest.raises(BadInput) as raised:
        account.scheduler.check(resources)
    name = words.split(":", maxsplit=1)[0]
    assert str(raised.value) == f"{words} Leave {name} out on this cluster"


def test_a_walltime_is_accepted(account: Account) -> None:
    assert account.scheduler.query(account.submit(resources=Resources(time="1:00:00"))).phase == RUNNING


def test_a_missing_job_script_is_refused(account: Account) -> None:
    order = Order("hpc-jupyter-x", ("/nonexistent/job.sh", "/x/sessions/x", "1"), "/", "/dev/null", Resources())
    with pytest.raises(SubmitRefused, match=r"/nonexistent/job\.sh on .* is missing or cannot be executed"):
        account.scheduler.submit(order)


def test_a_directory_that_is_gone_is_refused_in_one_line(account: Account) -> None:
    script = account.root / "job.sh"
    script.write_text(_SLEEPER)
    script.chmod(0o755)
    order = Order("hpc-jupyter-x", (str(script), "/x/sessions/x", "1"), "/nonexistent", "/dev/null", Resources())
    with pytest.raises(SubmitRefused) as raised:
        account.scheduler.submit(order)
    assert "No such file or directory: '/nonexistent'" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_there_are_no_steps_without_a_scheduler() -> None:
    with pytest.raises(HpcJupyterError) as caught:
        none.NoScheduler().step_argv("1.s@h", node="h", argv=["/usr/sbin/sshd"])
    assert str(caught.value) == "none starts no steps, so /usr/sbin/sshd cannot run in job 1.s@h on h"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts are those of Slurm 22.05; the lab has the real one."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name, slurm_step
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Job,
    Order,
)

_RUNS = Job("7", RUNNING, node="c1", ends_at="2026-11-21T06:05:59Z")


def test_a_step_shares_what_its_job_has_on_one_node() -> None:
    order = Order("hpc-jupyter-x", ("/h/job.sh", "/h/s", "1"), "/h", "/h/job.log", Resources(), job="7")
    assert slurm_step.submit_argv(order) == [
        "srun", "--jobid=7", "--job-name=hpc-jupyter-x", "--overlap", "--nodes=1", "--ntasks=1", "--mem=0",
        "--immediate=30", "--output=/h/job.log", "--open-mode=append", "--chdir=/h", "/h/job.sh", "/h/s", "1",
    ]


@pytest.mark.parametrize(("job_id", "job"), [("7.0", "7"), ("123.45", "123"), ("7", ""), ("7_1", ""), ("7.batch", "")])
def test_a_step_is_told_from_a_job_by_its_id(job_id: str, job: str) -> None:
    assert slurm_step.job_of(job_id) == job


def test_nothing_of_another_job_becomes_an_option_of_srun() -> None:
    login = {"HOME": "/h", "SLURM_CONF": "/etc/slurm.conf", "SLURM_JOB_ID": "3", "SLURM_NTASKS": "9", "SRUN_DEBUG": "3"}
    assert slurm_step.environment(login, ends_at="1970-01-02T00:00:01Z") == {
        "HOME": "/h", "SLURM_CONF": "/etc/slurm.conf", "SLURM_JOB_END_TIME": "86401",
    }
    assert slurm_step.environment({"HOME": "/h"}, ends_at="") == {"HOME": "/h"}


def test_steps_are_found_among_banners_and_a_job_s_own() -> None:
    text = "Welcome!\n7.0|c1|hpc-jupyter-x\n7.batch|c1|batch\n7.extern|c1|extern\n12.3|c[2-3]|hpc-jupyter-x\n"
    assert slurm_step.parse(text) == [Job("7.0", RUNNING, node="c1"), Job("12.3", RUNNING, node="c[2-3]")]


@pytest.mark.parametrize(("job", "steps", "expected"), [
    (_RUNS, ["7.0"], Job("7.0", RUNNING, node="c1", ends_at="2026-11-21T06:05:59Z")),
    (_RUNS, [], Job("7.0", GONE, reason="it does not run any more in job 7")),
    (_RUNS, ["7.1"], Job("7.0", GONE, reason="it does not run any more in job 7")),
    (Job("7", PENDING), [], Job("7.0", GONE, reason="it does not run any more in job 7")),
    (Job("7", ENDING, reason="COMPLETING"), ["7.0"], Job("7.0", ENDING, reason="COMPLETING")),
    (Job("7", GONE, how="time limit", reason="TIMEOUT"), [], Job("7.0", GONE, how="time limit", reason="TIMEOUT")),
])
def test_a_step_lives_as_long_as_it_and_its_job_do(job: Job, steps: list[str], expected: Job) -> None:
    assert slurm_step.status("7.0", job, [Job(each, RUNNING, node="c1") for each in steps]) == expected


@pytest.mark.parametrize(("text", "message"), [
    ("", "job: Slurm on login1 knows no job 7. Look for yours with: squeue --me"),
    ("7|RUNNING|bob\n", "job: job 7 belongs to bob, not to alice. Look for yours with: squeue --me"),
    ("7|PENDING|alice\n", "job: job 7 does not run: it is PENDING. Name one that runs, or leave job out"),
    ("7|COMPLETED|alice\n", "job: job 7 does not run: it is COMPLETED. Name one that runs, or leave job out"),
])
def test_a_job_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        slurm_step.check_job(text, job="7", user="alice", host="login1")
    assert str(raised.value) == message
    slurm_step.check_job("Welcome!\n7|RUNNING|alice\n", job="7", user="alice", host="login1")


def test_without_a_scheduler_there_is_no_job_to_run_in() -> None:
    with pytest.raises(BadInput) as raised:
        by_name("none", root="/h").check_job("7")
    assert str(raised.value) == (
        "job: '7' cannot be used: hpc_scheduler is none, and only slurm runs a session in a job. "
        "Leave job out on this cluster"
    )

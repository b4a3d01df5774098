# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session as a step of a Slurm job that its owner has already, as after ``salloc``.

Its id is the step's, ``JOB.STEP``: whoever is given it can see and end the step, and cannot end the job with it.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import replace
from typing import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, RUNNING, Job, Order

STEP_FORMAT = "%i|%N|%j"
OWNER_FORMAT = "%i|%T|%u"
_STEP = re.compile(r"(?P<job>[1-9][0-9]*)\.[0-9]+")
_STEP_ROW = re.compile(r"(?P<id>[1-9][0-9]*\.[0-9]+)\|(?P<node>[^|]*)\|")
_KEPT = ("SLURM_CONF",)


def job_of(job_id: str) -> str:
    """The job that a step's id names; empty if it is the id of a whole job."""
    match = _STEP.fullmatch(job_id)
    return match.group("job") if match else ""


def submit_argv(order: Order) -> list[str]:
    """The ``srun`` command line for ``order``: one task that shares all that the job has on its node."""
    shares = ["--overlap", "--nodes=1", "--ntasks=1", "--mem=0", "--immediate=30"]
    output = [f"--output={order.log}", "--open-mode=append", f"--chdir={order.directory}"]
    return ["srun", f"--jobid={order.job}", f"--job-name={order.name}", *shares, *output, *order.argv]


def environment(inherited: Mapping[str, str], *, ends_at: str) -> dict[str, str]:
    """Of the login, but for what another job left there, which ``srun`` would take for its options.

    ``ends_at`` is when the job ends, as the record writes it: a job script is told, a step is not.
    """
    kept = {
        name: value for name, value in inherited.items() if name in _KEPT or not name.startswith(("SLURM_", "SRUN_"))
    }
    if ends_at:
        kept["SLURM_JOB_END_TIME"] = str(calendar.timegm(time.strptime(ends_at, "%Y-%m-%dT%H:%M:%SZ")))
    return kept


def lines(text: str) -> list[str]:
    """The lines of an answer of ``squeue``; raises ``SchedulerUnavailable`` if the last one was cut off."""
    if text and not text.endswith("\n"):
        raise SchedulerUnavailable("squeue's answer was cut off")
    return text.split("\n")


def parse(text: str) -> list[Job]:
    """The steps in the output of ``squeue --steps``, which lists no step that is over."""
    rows = [_STEP_ROW.match(line) for line in lines(text)]
    return [Job(row.group("id"), RUNNING, node=row.group("node")) for row in rows if row]


def status(step: str, job: Job, steps: list[Job]) -> Job:
    """What is known of ``step``: its ``job`` as Slurm has it, and the ``steps`` that run."""
    if job.phase in (GONE, ENDING):
        return replace(job, job_id=step)
    running = [each for each in steps if each.job_id == step]
    if running and job.phase == RUNNING:
        return replace(running[0], ends_at=job.ends_at)
    return Job(step, GONE, reason=f"it does not run any more in job {job.job_id}")


def check_job(text: str, *, job: str, user: str, host: str) -> None:
    """Refuse a job that is not ``user``'s or does not run; ``text`` is ``squeue``'s line about it, or nothing."""
    rows = [line.split("|") for line in text.splitlines() if line.startswith(f"{job}|") and line.count("|") == 2]
    if not rows:
        raise BadInput("job", f"Slurm on {host} knows no job {job}", hint="Look for yours with: squeue --me")
    _id, state, owner = rows[0]
    if owner != user:
        raise BadInput("job", f"job {job} belongs to {owner}, not to {user}", hint="Look for yours with: squeue --me")
    if state != "RUNNING":
        raise BadInput("job", f"job {job} does not run: it is {state}", hint="Name one that runs, or leave job out")

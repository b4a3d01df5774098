# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slurm, through ``sbatch``, ``squeue`` and ``scancel``. Texts and exit codes as Slurm 22.05 gives them."""

from __future__ import annotations

import os
import pwd
import re
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result, run
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Job,
    Order,
    Scheduler,
)

_SUBMIT_SECONDS = 60
_QUERY_SECONDS = 30
_FORMAT = "%i|%T|%r|%N|%B|%S|%e|%j"
_ROW = re.compile(r"\d+(?:[_+][\d\[\],-]+)?\|")
_ID = re.compile(r"(\d+)(?:;[\w.-]+)?")
_UNCLEAR = ("timed out", "unable to contact slurm controller", "connection", "communication", "zero bytes")
_PHASES = {
    "PENDING": PENDING, "CONFIGURING": PENDING, "REQUEUED": PENDING, "REQUEUE_HOLD": PENDING, "REQUEUE_FED": PENDING,
    "SPECIAL_EXIT": PENDING, "RESV_DEL_HOLD": PENDING,
    "RUNNING": RUNNING, "SUSPENDED": RUNNING, "STOPPED": RUNNING, "RESIZING": RUNNING, "SIGNALING": RUNNING,
    "STAGE_OUT": RUNNING,
    "COMPLETING": ENDING,
    "COMPLETED": GONE, "CANCELLED": GONE, "FAILED": GONE, "TIMEOUT": GONE, "NODE_FAIL": GONE,
    "OUT_OF_MEMORY": GONE, "BOOT_FAIL": GONE, "DEADLINE": GONE, "PREEMPTED": GONE, "REVOKED": GONE,
}
_ENDINGS = {"COMPLETED": "finished", "CANCELLED": "stopped", "TIMEOUT": "time limit", "DEADLINE": "time limit"}
_HOPELESS = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|PartitionConfig|DependencyNeverSatisfied|BadConstraints|InvalidAccount|"
    r"InvalidQOS|QOSNotAllowed|AccountNotAllowed|ReservationDeleted|"
    r"(?:QOS|Assoc)Max\w+PerJob(?:Limit)?"
)
"""Reasons of a pending job that no waiting removes (Slurm's JOB REASON CODES)."""


class Slurm(Scheduler):
    """Slurm as an ordinary user sees it."""

    name = "slurm"
    steps = True

    def submit(self, order: Order) -> str:
        """Submit with ``sbatch``; a time-out or a lost controller is ``SubmitUnclear``: the job may exist."""
        return read_submit(_run(submit_argv(order), timeout_seconds=_SUBMIT_SECONDS))

    def query(self, job_id: str) -> Job:
        """One job by its id; ``-t all`` also shows one that has just ended."""
        argv = ["squeue", "-h", "-t", "all", "-j", job_id, "-o", _FORMAT]
        return read_query(_run(argv, timeout_seconds=_QUERY_SECONDS), job_id=job_id)

    def step_argv(self, job_id: str, *, node: str, argv: Sequence[str]) -> list[str]:
        """With ``srun``; without ``--unbuffered`` it would hold back what does not end in a newline."""
        options = ["--overlap", "--unbuffered", "-Q", f"--jobid={job_id}", "-w", node, "--nodes=1", "--ntasks=1"]
        return ["srun", *options, "--chdir=/", "--mpi=none", *argv]

    def find(self, name: str) -> list[Job]:
        """The account's jobs of this name that are not gone."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        argv = ["squeue", "-h", "-t", "all", "-u", user, "-n", name, "-o", _FORMAT]
        return [job for job in _answer(_run(argv, timeout_seconds=_QUERY_SECONDS)) if job.phase != GONE]

    def cancel(self, job_id: str) -> None:
        """Cancel with ``scancel``, which is silent about jobs that are gone."""
        result = _run(["scancel", job_id], timeout_seconds=_SUBMIT_SECONDS)
        if result.timed_out or result.code != 0:
            raise SchedulerUnavailable(f"scancel could not end job {job_id}: {_words(result) or 'it did not answer'}")


def submit_argv(order: Order) -> list[str]:
    """The ``sbatch`` command line for ``order``."""
    fixed = [f"--job-name={order.name}", f"--output={order.log}", "--open-mode=append", f"--chdir={order.directory}"]
    return ["sbatch", "--parsable", *fixed, *_resource_options(order.resources), *order.argv]


def _resource_options(wanted: Resources) -> list[str]:
    generic = ",".join(part for part in (wanted.gpus and f"gpu:{wanted.gpus}", wanted.gres) if part)
    options = {
        "time": wanted.time, "cpus-per-task": wanted.cpus, "mem": wanted.memory, "gres": generic,
        "partition": wanted.partition, "account": wanted.project, "qos": wanted.qos,
        "constraint": wanted.constraint, "reservation": wanted.reservation, "nodes": wanted.nodes,
        "mail-user": wanted.mail_user, "mail-type": wanted.mail_type, "dependency": wanted.dependency,
    }
    named = [f"--{name}={value}" for name, value in options.items() if value]
    return named + (["--exclusive"] if wanted.exclusive else []) + list(wanted.extra)


def read_submit(result: Result) -> str:
    """The job's id from what ``sbatch`` did; raises ``SubmitUnclear`` where a job may exist all the same."""
    if result.timed_out:
        raise SubmitUnclear(f"sbatch did not answer within {_SUBMIT_SECONDS} seconds")
    if result.code == 0:
        return parse_job_id(result.out)
    words = _words(result)
    if any(text in words.lower() for text in _UNCLEAR):
        raise SubmitUnclear(f"sbatch could not say whether it submitted: {words}")
    raise SubmitRefused(f"Slurm refused the job: {words}")


def read_query(result: Result, *, job_id: str) -> Job:
    """One job from what ``squeue`` did; GONE only where Slurm says that it does not know the id."""
    if result.code != 0 and not result.timed_out and "Invalid job id specified" in result.err:
        return Job(job_id, GONE)
    jobs = _answer(result)
    if not jobs:
        raise SchedulerUnavailable("squeue answered with nothing")
    return jobs[0]


def parse_job_id(text: str) -> str:
    """The id in ``sbatch --parsable``'s output, which is ``ID`` or ``ID;CLUSTER`` on a line of its own."""
    for line in reversed(text.splitlines()):
        match = _ID.fullmatch(line.strip())
        if match is not None:
            return match.group(1)
    raise SubmitUnclear(f"sbatch succeeded without naming the job: {text.strip()!r}")


def parse_squeue(text: str) -> list[Job]:
    """The jobs in ``squeue``'s output; other lines (banners, ``CLUSTER:``) are passed over."""
    return [_job(line) for line in text.splitlines() if _ROW.match(line) and line.count("|") >= 7]


def _job(line: str) -> Job:
    job_id, state, reason, nodes, batch_host, start, end, _name = line.split("|", 7)
    phase = _PHASES.get(state)
    if phase is None:
        raise SchedulerUnavailable(f"squeue gave job {job_id} the unknown state {state!r}")
    return Job(
        job_id=job_id,
        phase=phase,
        reason=_reason(state, reason, phase=phase),
        hopeless=phase == PENDING and _HOPELESS.search(reason) is not None,
        how=_ENDINGS.get(state, "failed") if phase == GONE else "",
        node=batch_host if batch_host not in ("", "n/a", "(null)") else nodes,
        starts_at=_time(start) if phase == PENDING else "",
        ends_at=_time(end) if phase == RUNNING else "",
    )


def _reason(state: str, reason: str, *, phase: str) -> str:
    if phase in (ENDING, GONE):
        return state if reason in ("None", "") else f"{state}, {reason}"
    return "" if reason == "None" else reason


def _time(text: str) -> str:
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) else ""


def _answer(result: Result) -> list[Job]:
    if result.timed_out:
        raise SchedulerUnavailable(f"squeue did not answer within {_QUERY_SECONDS} seconds")
    if result.code != 0:
        raise SchedulerUnavailable(f"squeue failed: {_words(result)}")
    return parse_squeue(result.out)


def _run(argv: list[str], *, timeout_seconds: float) -> Result:
    try:
        return run(argv, timeout_seconds=timeout_seconds)
    except FileNotFoundError as error:
        raise SchedulerUnavailable(f"Slurm cannot be asked from here: {error}") from error


def _words(result: Result) -> str:
    lines = [re.sub(r"^\w+: (?:error: )?", "", line.strip()) for line in result.err.splitlines()]
    return "; ".join(line for line in lines if line)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slurm, through ``sbatch``, ``srun``, ``squeue`` and ``scancel``. Texts and exit codes as Slurm 22.05 gives them."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from dataclasses import replace
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.files import read_tail
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result, find_command
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import asked, slurm_end
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm_step as step
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Inside,
    Job,
    Order,
    Scheduler,
    Surroundings,
    user,
)

_CONFIG_SECONDS = 10
_STEP_LOOK_SECONDS = 0.3
_STEP_GRACE_SECONDS = 20.0
"""Longer than the supervisor takes to shut Jupyter and its kernels down."""
_FORMAT = "%i|%T|%r|%N|%B|%S|%e|%j"
_HEADER, _STEP_HEADER = "JOBID|", "STEPID|"
"""An answer without its header is none: an empty one is then not taken for "there is no such job"."""
_HIDDEN = ("SQUEUE_", "SBATCH_ARRAY", "SBATCH_WAIT", "SBATCH_CLUSTERS", "SBATCH_JOB_NAME", "SBATCH_TEST_ONLY",
           "SLURM_TIME_FORMAT")
"""Of a login's environment: what would hide jobs, make several, wait for their end, or write times otherwise."""
_MESSAGE_TIMEOUT = re.compile(r"^MessageTimeout\s*=\s*(\d+)", re.MULTILINE)
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
    _unclear_seconds: float | None = None

    def check(self, resources: Resources) -> None:
        """Refuse an option and its value in one: they would be one word to ``sbatch``."""
        super().check(resources)
        for option in resources.extra:
            if " " in option and not option.startswith("--"):
                raise BadInput("extra", f"{option!r} is not an option of sbatch",
                               hint="Write one option a list item, such as --licenses=a:1")

    def inside(self, around: Surroundings) -> Inside:
        """From the variables of ``sbatch``, or of a step."""
        environment = around.environment
        restarts = environment.get("SLURM_RESTART_COUNT", "")
        job_id, ends_at = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_JOB_END_TIME", "")
        return Inside(
            job_id=f"{job_id}.{environment.get('SLURM_STEP_ID', '')}" if around.job else job_id,
            node=environment.get("SLURMD_NODENAME", ""),
            restarts=int(restarts) if restarts.isdigit() else 0,
            ends_at=float(ends_at) if ends_at.isdigit() else 0.0,
        )

    def unclear_seconds(self) -> float:
        """Twice the time that Slurm's own programs and daemons give each other, and some."""
        if self._unclear_seconds is None:
            self._unclear_seconds = self._asked_unclear_seconds()
        return self._unclear_seconds

    def _asked_unclear_seconds(self) -> float:
        with contextlib.suppress(SchedulerUnavailable):
            told = _MESSAGE_TIMEOUT.search(_run(["scontrol", "show", "config"], seconds=_CONFIG_SECONDS).out)
            if told is not None:
                return 2 * float(told.group(1)) + 10
        return super().unclear_seconds()

    def check_job(self, job: str) -> None:
        """Refuse a job that is not this account's, or does not run."""
        result = _run(["squeue", "-h", "-t", "all", "-j", job, "-o", step.OWNER_FORMAT])
        known = "" if _is_unknown(result) else asked.checked(result, "squeue").out
        step.check_job(known, job=job, user=user(), host=socket.gethostname())

    def refusal(self, resources: Resources) -> str | None:
        """``sbatch --test-only`` looks at partition, account and limits, and submits nothing."""
        argv = ["sbatch", "--test-only", *_resource_options(resources), "--wrap=true"]
        result = _run(argv, seconds=asked.SUBMIT_SECONDS)
        if result.code == 0:
            return ""
        words = asked.words(result.err)
        if result.timed_out or any(text in words.lower() for text in _UNCLEAR):
            raise SchedulerUnavailable(f"sbatch --test-only could not say: {words}")
        return words

    def submit(self, order: Order) -> str:
        """Submit with ``sbatch``; a time-out or a lost controller is ``SubmitUnclear``: the job may exist."""
        if order.job:
            return self._submit_step(order)
        # The job gets its environment.
        return read_submit(_run(submit_argv(order), seconds=asked.SUBMIT_SECONDS, as_it_is=True))

    def query(self, job_id: str) -> Job:
        """One job by its id; ``-t all`` also shows one that has just ended."""
        if step.job_of(job_id):
            job = self.query(step.job_of(job_id))
            return step.status(job_id, job, self._steps(f"--steps={job_id}") if job.phase == RUNNING else [])
        argv = ["squeue", "-t", "all", "-j", job_id, "-o", _FORMAT]
        job = read_query(_run(argv), job_id=job_id)
        who = slurm_end.canceller(job_id) if job.phase == GONE and job.how == "stopped" else ""
        return replace(job, reason=f"cancelled by {who} (CANCELLED)") if who else job

    def restarts(self, job_id: str) -> int:
        """Slurm's own count; a step is never begun anew."""
        if step.job_of(job_id):
            return 0
        result = _run(["squeue", "-h", "-t", "all", "-j", job_id, "-O", "RestartCnt"])
        return 0 if _is_unknown(result) else read_restarts(asked.checked(result, "squeue").out)

    def step_argv(self, job_id: str, *, node: str, argv: Sequence[str]) -> list[str]:
        """With ``srun``; without ``--unbuffered`` it would hold back what does not end in a newline."""
        where = [f"--jobid={step.job_of(job_id) or job_id}", "-w", node, "--nodes=1", "--ntasks=1"]
        return ["srun", "--overlap", "--unbuffered", "-Q", *where, "--chdir=/", "--mpi=none", *argv]

    def find(self, name: str) -> list[Job]:
        """The account's jobs of this name that are not gone, and its steps in other jobs."""
        argv = ["squeue", "-t", "all", "-u", user(), "-n", name, "-o", _FORMAT]
        jobs = [job for job in _answer(_run(argv)) if job.phase != GONE]
        own = [job.job_id for job in jobs]
        return jobs + [each for each in self._steps("-n", name) if step.job_of(each.job_id) not in own]

    def sessions(self) -> list[tuple[str, Job]]:
        """The account's jobs with names of ours, and its steps in other jobs."""
        argv = ["squeue", "-t", "all", "-u", user(), "-o", _FORMAT]
        rows = self._ours(_whole(_run(argv), header=_HEADER).out, name_at=7)
        jobs = [(name, _begun(row, job)) for name, row in rows for job in parse_squeue(row) if job.phase != GONE]
        own = [job.job_id for _name, job in jobs]
        steps = self._ours(self._list_steps(), name_at=2)
        inside = [(name, job) for name, row in steps for job in step.parse(row)]
        return jobs + [(name, job) for name, job in inside if step.job_of(job.job_id) not in own]

    def _ours(self, text: str, *, name_at: int) -> list[tuple[str, str]]:
        """The rows of our jobs, each after its session's name; those of others may be in states that we do not know."""
        rows = [(f"{line}\n", line.split("|", name_at)) for line in step.lines(text)]
        named = [(job_names.session_of(words[-1], self._root), line) for line, words in rows if len(words) > name_at]
        return [(name, line) for name, line in named if name]

    def cancel(self, job_id: str) -> None:
        """Cancel with ``scancel``, which is silent about jobs that are gone."""
        if step.job_of(job_id):
            self._cancel_step(job_id)
        _cancel(job_id)

    def _submit_step(self, order: Order) -> str:
        """Start ``srun``, which lives as long as its step does; the step is known by its name once it is there."""
        from ansible_collections.hpc.jupyter.plugins.module_utils import children
        from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import detach

        ends_at = self.query(order.job).ends_at
        surroundings = step.environment(detach.own_environment(), ends_at=ends_at)
        argv = step.submit_argv(order)
        wanted = detach.Start((_srun(argv[0]), *argv[1:]), order.directory, order.log, surroundings)
        pid = detach.start(wanted)
        deadline = time.monotonic() + asked.SUBMIT_SECONDS
        while time.monotonic() < deadline:
            lives = children.process(pid) is not None
            with contextlib.suppress(SchedulerUnavailable):
                found = [each for each in self._steps("-n", order.name) if step.job_of(each.job_id) == order.job]
                if found:
                    return found[0].job_id
            if not lives:
                said = "; ".join(read_tail(order.log, lines=2)) or "it said nothing"
                raise SubmitRefused(f"srun could not start a step in job {order.job}: {said}")
            time.sleep(_STEP_LOOK_SECONDS)
        raise SubmitUnclear(f"srun started no step in job {order.job} within {asked.SUBMIT_SECONDS} seconds")

    def _steps(self, *which: str) -> list[Job]:
        return step.parse(self._list_steps(*which))

    def _list_steps(self, *which: str) -> str:
        argv = ["squeue", "-s", "-u", user(), *which, "-o", step.STEP_FORMAT]
        return _whole(_run(argv), header=_STEP_HEADER).out

    def _cancel_step(self, job_id: str) -> None:
        """Ask first: without a signal's name, ``scancel`` kills a step at once."""
        _cancel("--signal=TERM", job_id)
        deadline = time.monotonic() + _STEP_GRACE_SECONDS
        while self._steps(f"--steps={job_id}") and time.monotonic() < deadline:
            time.sleep(_STEP_LOOK_SECONDS)


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
        raise SubmitUnclear(f"sbatch did not answer within {asked.SUBMIT_SECONDS} seconds")
    if result.code == 0:
        return parse_job_id(result.out)
    words = asked.words(result.err)
    # Who was killed, or cut short in its complaint, has refused nothing.
    cut_off = result.code < 0 or 128 < result.code < 255 or not result.err.endswith("\n")
    if cut_off or any(text in words.lower() for text in _UNCLEAR):
        raise SubmitUnclear(f"sbatch could not say whether it submitted: {words}")
    raise SubmitRefused(f"Slurm refused the job: {words}")


def read_query(result: Result, *, job_id: str) -> Job:
    """One job from what ``squeue`` did; GONE only where Slurm says that it does not know the id."""
    if _is_unknown(result):
        return Job(job_id, GONE)
    jobs = _answer(result)
    if not jobs:
        raise SchedulerUnavailable("squeue answered with nothing")
    if job_id not in [job.job_id for job in jobs]:
        raise SchedulerUnavailable(f"squeue answered about job {jobs[0].job_id}, asked about {job_id}")
    return next(job for job in jobs if job.job_id == job_id)


def read_restarts(text: str) -> int:
    """The count in ``squeue``'s output, on a line of its own."""
    counts = [int(line) for line in text.splitlines() if line.strip().isdigit()]
    if len(counts) != 1:
        raise SchedulerUnavailable("squeue did not say how often the job was begun anew")
    return counts[0]


def parse_job_id(text: str) -> str:
    """The id in ``sbatch --parsable``'s output, which is ``ID`` or ``ID;CLUSTER`` on a line of its own.

    Where a site's own lines look like ids too, none is believed: the job is then found by its name.
    """
    matches = [_ID.fullmatch(line.strip()) for line in text.splitlines()]
    named = {match.group(1) for match in matches if match is not None}
    if len(named) != 1:
        raise SubmitUnclear(f"sbatch succeeded without naming one job: {text.strip()!r}")
    return named.pop()


def parse_squeue(text: str) -> list[Job]:
    """The jobs in ``squeue``'s output; other lines (banners, ``CLUSTER:``) are passed over.

    What was cut off could hide a job: that is no answer.
    """
    rows = [line for line in step.lines(text) if _ROW.match(line)]
    if any(row.count("|") < 7 for row in rows):
        raise SchedulerUnavailable("squeue's answer was cut off")
    return [_job(row) for row in rows]


def _begun(row: str, job: Job) -> Job:
    """The job with when it started, where an estimate stands as long as it waits."""
    return replace(job, starts_at=_time(row.split("|")[5]))


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
        return slurm_end.words(state, reason)
    return "" if reason == "None" else reason


def _time(text: str) -> str:
    return f"{text}Z" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text) else ""


def _answer(result: Result) -> list[Job]:
    return parse_squeue(_whole(result, header=_HEADER).out)


def _whole(result: Result, *, header: str) -> Result:
    """What ``squeue`` did, if it said at least what it would tell of."""
    if not any(line.startswith(header) for line in asked.checked(result, "squeue").out.splitlines()):
        raise SchedulerUnavailable("squeue answered with nothing")
    return result


def _is_unknown(result: Result) -> bool:
    return result.code != 0 and not result.timed_out and "Invalid job id specified" in result.err


def _cancel(*arguments: str) -> None:
    """``scancel`` is silent about jobs that are gone, and complains about such steps."""
    result = _run(["scancel", *arguments], seconds=asked.SUBMIT_SECONDS)
    if result.timed_out or (result.code != 0 and not (step.job_of(arguments[-1]) and _is_unknown(result))):
        problem = asked.words(result.err) or "it did not answer"
        raise SchedulerUnavailable(f"scancel could not end job {arguments[-1]}: {problem}")


def _srun(name: str) -> str:
    try:
        return find_command(name)
    except FileNotFoundError as error:
        raise SubmitRefused(f"a session cannot be started in a job from {socket.gethostname()}: {error}") from error


def _run(argv: list[str], *, seconds: float = asked.QUERY_SECONDS, as_it_is: bool = False) -> Result:
    return asked.run("Slurm", argv, seconds=seconds, hidden=_HIDDEN, as_it_is=as_it_is)

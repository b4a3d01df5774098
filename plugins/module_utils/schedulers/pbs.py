# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PBS, through ``qsub``, ``qstat`` and ``qdel``: OpenPBS and PBS Professional here, Torque in ``pbs_torque``.

Texts and exit codes are those of OpenPBS 23.06. What a job prints comes to its place only at the end, so the job script
writes the log itself. A job is submitted with ``-r n``: what a node has lost does not start again.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, Callable, Iterator, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources, time_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import asked, pbs_torque
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Inside,
    Job,
    Order,
    Scheduler,
    Site,
    Surroundings,
    split,
    user,
)

_ID = re.compile(r"[1-9][0-9]*(?:\.[A-Za-z0-9.-]+)?|0\.[A-Za-z0-9.-]+")
_NUMBER = re.compile(r"^(\d+)(?=[.\s])", re.MULTILINE)
_UNCLEAR = re.compile(r"connect|communicat|timed out|no route|end of file|protocol", re.IGNORECASE)
_FINISHED, _UNKNOWN = 35, 153
_PHASES = {
    "Q": PENDING, "H": PENDING, "W": PENDING, "T": PENDING, "R": RUNNING, "S": RUNNING, "U": RUNNING, "B": RUNNING,
    "E": ENDING, "F": GONE, "X": GONE, "C": GONE,
}
"""``M``, a job that was moved to another server, is not among them: nobody here can tell of it."""
_HELD = {"u": "held by its owner", "s": "held by the system", "o": "held by an administrator",
         "p": "held for a bad password"}
_EXCEEDED = {
    "-24": "processors", "-25": "processors", "-26": "virtual memory", "-27": "memory", "-28": "processor time",
    "-10": "memory",
}
_OVER = ("-29", "-11")
"""Exit statuses of a job whose time is over: of PBS, and of Torque."""
_TERMINATED = "91"
_QUEUE = re.compile(r"^\S+ +\d+ +\d+ +(yes|no) +(?:yes|no) ", re.MULTILINE)
"""A row of ``qstat -Q``: whether the queue takes jobs, then whether it starts them."""
_TIME = "%a %b %d %H:%M:%S %Y"


class Pbs(Scheduler):
    """PBS as an ordinary user sees it."""

    name = "pbs"
    requeues = False
    no_steps = "pbsdsh passes no input on to what it starts"
    only_queue = True
    refused: Mapping[str, str] = {
        "qos": "Write extra: ['-l qos=NAME'], where the site has it", "gres": "Write extra: ['-l NAME=VALUE']",
        "nodes": "A session runs on one node: ask for cpus",
        "reservation": "Write partition: a reservation is a queue, such as R123",
    }
    own_options = ("-N", "-o", "-e", "-j", "-k", "-V", "-v", "-J", "-t", "-I", "-X", "-r", "-C", "-z", "-S", "-F", "-f")
    _is_torque: bool | None = None

    def check(self, resources: Resources) -> None:
        """``qsub`` takes an option and its value in one word too, and one that waits for the job's end."""
        super().check(resources)
        for option in resources.extra:
            letter, value = option[:2], option[2:]
            if letter in self.own_options or (letter == "-W" and "block=" in value):
                name = "-W block" if letter == "-W" else letter
                raise BadInput("extra", f"{name} is set by hpc.jupyter itself and cannot be given")

    def inside(self, around: Surroundings) -> Inside:
        """PBS says nothing of the end of a job's time, nor which host this is."""
        return Inside(around.environment.get("PBS_JOBID", ""))

    def refusal(self, resources: Resources) -> str | None:
        """``qstat -Q`` says whether a queue takes jobs, or whether any does; PBS tries nothing out."""
        name = resources.partition
        result = asked.run(self.name, ["qstat", "-Q", *([name] if name else [])])
        if result.code > 0 and not result.timed_out and "Unknown queue" in result.err:
            return asked.words(result.err)
        takes = _QUEUE.findall(asked.checked(result, "qstat").out)
        if not takes or "yes" in takes:
            return "" if takes else None
        return f"queue {name} takes no jobs" if name else "no queue takes jobs"

    def submit(self, order: Order) -> str:
        """Submit with ``qsub``; a lost server is ``SubmitUnclear``: the job may exist."""
        argv = pbs_torque.submit_argv(order) if self._torque() else submit_argv(order, self._site)
        return read_submit(asked.run(self.name, argv, seconds=asked.SUBMIT_SECONDS))

    def query(self, job_id: str) -> Job:
        """One job by its id; GONE only where PBS says that it has finished, or that it does not know the id."""
        result = asked.run(self.name, self._show_argv(job_id))
        for each, told in self._parsed(result).items():
            if _same(each, job_id):
                return self._finished(job_of(each, told))
        if not is_gone(result, job_id=job_id):
            raise _no_answer(result)
        return self._finished(Job(job_id, GONE))

    def find(self, name: str) -> list[Job]:
        """The account's jobs of this name."""
        return [job for _name, job in self._own(lambda called: called == name)]

    def sessions(self) -> list[tuple[str, Job]]:
        """The account's jobs with names of ours."""
        own = self._own(lambda called: bool(job_names.session_of(called, self._root)))
        return [(job_names.session_of(called, self._root), job) for called, job in own]

    def cancel(self, job_id: str) -> None:
        """``qdel`` complains about jobs that are gone."""
        result = asked.run(self.name, ["qdel", job_id], seconds=asked.SUBMIT_SECONDS)
        if result.timed_out or (result.code != 0 and not is_gone(result, job_id=job_id)):
            problem = asked.words(result.err) or "it did not answer"
            raise SchedulerUnavailable(f"qdel could not end job {job_id}: {problem}")

    def _own(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Job]]:
        """The account's jobs of the names ``wanted`` that are not gone; others may be in states that we do not know.

        ``qstat`` lists them by number, and tells whole names one by one.
        """
        listed = asked.checked(asked.run(self.name, ["qstat", "-u", user()]), "qstat").out
        if listed and not listed.endswith("\n"):
            raise SchedulerUnavailable("qstat's answer was cut off")
        numbers = _NUMBER.findall(listed)
        if not numbers:
            return
        result = asked.run(self.name, self._show_argv(*numbers))
        told = self._parsed(result)
        for number in numbers:
            if not any(_same(job_id, number) for job_id in told) and not is_gone(result, job_id=number):
                raise _no_answer(result)
        named = [(str(each.get("Job_Name", "")), job_id, each) for job_id, each in told.items()]
        jobs = [(name, job_of(job_id, each)) for name, job_id, each in named if wanted(name)]
        yield from ((name, job) for name, job in jobs if job.phase != GONE)

    def _show_argv(self, *ids: str) -> list[str]:
        return ["qstat", "-x", *ids] if self._torque() else ["qstat", "-f", "-F", "json", *ids]

    def _parsed(self, result: Result) -> Mapping[str, Mapping[str, Any]]:
        """The attributes of all jobs that an answer tells of; none where it tells of none."""
        if result.timed_out:
            raise _no_answer(result)
        return pbs_torque.parse(result.out) if self._torque() else parse(result.out)

    def _finished(self, job: Job) -> Job:
        """How a job ended is in the history, where the server keeps one."""
        if job.phase != GONE or job.how or self._torque():
            return job
        result = asked.run(self.name, ["qstat", "-x", "-f", "-F", "json", job.job_id])
        try:
            told = [job_of(job_id, each) for job_id, each in self._parsed(result).items() if _same(job_id, job.job_id)]
        except SchedulerUnavailable:
            return job
        return replace(told[0], job_id=job.job_id) if told and told[0].phase == GONE else job

    def _torque(self) -> bool:
        """Torque has the same commands, and says otherwise who it is."""
        if self._is_torque is None:
            told = asked.run(self.name, ["qstat", "--version"])
            words = f"{told.out}\n{told.err}".lower()
            self._is_torque = "pbs_version" not in words and re.search(r"^\s*version:", words, re.MULTILINE) is not None
        return self._is_torque


def submit_argv(order: Order, site: Site) -> list[str]:
    """The ``qsub`` command line of PBS for ``order``."""
    wanted = order.resources
    chunk = [
        "1", f"ncpus={wanted.cpus or 1}", wanted.memory and f"mem={wanted.memory.lower()}b", *_gpus(wanted.gpus, site),
        wanted.constraint,
    ]
    limits = {
        "select": ":".join(part for part in chunk if part), "place": "excl" if wanted.exclusive else "",
        "walltime": walltime(wanted.time),
    }
    options = [word for name, value in limits.items() if value for word in ("-l", f"{name}={value}")]
    fixed = pbs_torque.common_options(order, name=order.name)
    return ["qsub", *fixed, *options, *split(wanted.extra), "--", *order.argv]


def walltime(text: str) -> str:
    """As PBS writes it, which knows no days."""
    if not text:
        return ""
    minutes, seconds = divmod(time_seconds(text), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _gpus(text: str, site: Site) -> list[str]:
    """A type is a resource of its own at sites that have several; most call it ``gpu_type``."""
    kind, _colon, count = text.rpartition(":")
    return [count and f"{site.gpu_resource or 'ngpus'}={count}", kind and f"gpu_type={kind}"]


def read_submit(result: Result) -> str:
    """The job's id from what ``qsub`` did; raises ``SubmitUnclear`` where a job may exist all the same."""
    if result.timed_out:
        raise SubmitUnclear(f"qsub did not answer within {asked.SUBMIT_SECONDS} seconds")
    named = {line.strip() for line in result.out.splitlines() if _ID.fullmatch(line.strip())}
    said = asked.words(result.err)
    if result.code == 0:
        if len(named) != 1:
            raise SubmitUnclear(f"qsub succeeded without naming one job: {result.out.strip()!r}")
        return named.pop()
    if named or asked.is_cut_off(result) or _UNCLEAR.search(said):
        raise SubmitUnclear(f"qsub could not say whether it submitted: {said}")
    raise SubmitRefused(f"PBS refused the job: {said}")


def is_gone(result: Result, *, job_id: str) -> bool:
    """Whether PBS or Torque said that this very job has finished, or is not known."""
    number = job_id.split(".", maxsplit=1)[0]
    told = re.compile(
        rf"Unknown Job Id(?: Error)? {number}\b|Job has finished {number}\b|\b{number}(?:\.\S*)? Job has finished|"
        rf"COMPLETE\S* {number}\b"
    )
    return result.code not in (0, -1) and not result.timed_out and told.search(result.err) is not None


def parse(text: str) -> Mapping[str, Mapping[str, Any]]:
    """The jobs in the output of ``qstat -f -F json``, by their ids, with their attributes; none where it names none."""
    try:
        told = json.loads(text[max(text.find("{"), 0):] or "{}", strict=False)
        jobs = told.get("Jobs", {})
        return {job_id: dict(attributes) for job_id, attributes in jobs.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SchedulerUnavailable("qstat's answer was cut off, or is none") from error


def job_of(job_id: str, told: Mapping[str, Any]) -> Job:
    """One job from its attributes, which PBS and Torque call alike."""
    state = str(told.get("job_state", ""))
    phase = _PHASES.get(state)
    if phase is None:
        raise SchedulerUnavailable(f"qstat gave job {job_id} the unknown state {state!r}")
    comment = str(told.get("comment", ""))
    how, ended = _end(told, comment) if phase == GONE else ("", "")
    began = _epoch(told.get("stime") or told.get("start_time")) if phase == RUNNING else 0
    limit = _inner(told, "Resource_List", "walltime")
    return Job(
        job_id=job_id,
        phase=phase,
        reason=_waits(state, told, comment) if phase == PENDING else ended,
        hopeless=phase == PENDING and comment.startswith("Can Never Run"),
        how=how,
        node=str(told.get("exec_host", "")).partition("/")[0].partition(".")[0],
        starts_at=asked.moment(_epoch(_inner(told, "estimated", "start_time"))) if phase == PENDING else "",
        ends_at=asked.moment(began + asked.seconds(limit)) if began and limit else "",
    )


def _waits(state: str, told: Mapping[str, Any], comment: str) -> str:
    if state == "H":
        if str(told.get("depend", "")).startswith("after"):
            return "it waits for another job"
        kinds = [text for letter, text in _HELD.items() if letter in str(told.get("Hold_Types", ""))]
        return comment or " and ".join(kinds) or "it is held"
    return comment or {"W": "its start time has not come"}.get(state, "")


def _end(told: Mapping[str, Any], comment: str) -> tuple[str, str]:
    status = str(told.get("Exit_status", told.get("exit_status", "")))
    by = re.search(r"and terminated(?: by (\S+?)(?:@\S*)?)?$", comment)
    if by is None and str(told.get("substate")) == _TERMINATED:
        return "stopped", "deleted"
    if by:
        return "stopped", f"deleted by {by.group(1)}" if by.group(1) else "deleted"
    if status in _OVER:
        return "time limit", "the job's time is over"
    if status in _EXCEEDED:
        return "failed", f"it used more {_EXCEEDED[status]} than it had asked for"
    if status == "0":
        return "finished", ""
    if not status.isdigit():
        return "", comment
    code = int(status)
    return ("stopped", f"ended by signal {code - 256}") if code > 256 else ("failed", f"it ended with exit code {code}")


def _inner(told: Mapping[str, Any], name: str, key: str) -> str:
    inner = told.get(name)
    return str(inner.get(key, "")) if isinstance(inner, Mapping) else ""


def _epoch(told: object) -> float:
    text = str(told or "")
    if text.isdigit():
        return float(text)
    try:
        return float(asked.epoch(text, _TIME))
    except ValueError:
        return 0.0


def _same(one: str, other: str) -> bool:
    """Whether two ids are of one job: the server's name is left out or written in more than one way."""
    return one.split(".", maxsplit=1)[0] == other.split(".", maxsplit=1)[0]


def _no_answer(result: Result) -> SchedulerUnavailable:
    if result.timed_out:
        return SchedulerUnavailable(f"qstat did not answer within {asked.QUERY_SECONDS} seconds")
    return SchedulerUnavailable(f"qstat failed: {asked.words(result.err) or 'it answered with nothing'}")

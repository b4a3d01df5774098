# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""LSF, through ``bsub``, ``bjobs``, ``bqueues`` and ``bkill``; release 10.1 or later, whose ``bjobs`` writes JSON.

From its documentation and what other projects meet; no LSF was at hand. What a job prints comes to its place only at
the end, so the job script writes the log itself. A job is submitted with ``-rn``: what a node has lost stays lost.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from typing import Any, Callable, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources, time_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import asked
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
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

_FIELDS = "jobid:12 stat:8 job_name:80 exec_host:250 finish_time:30 pend_reason:250 exit_reason:120 exit_code:8"
"""With widths: without, some releases cut names off."""
_HIDDEN = ("BSUB_QUIET", "LSB_BJOBS_FORMAT", "LSB_BQUEUES_FORMAT")
_SUBMITTED = re.compile(r"^Job <([1-9][0-9]*)> is submitted", re.MULTILINE)
_UNCLEAR = re.compile(r"not responding|is down|connect|communicat|timed? ?out|still trying", re.IGNORECASE)
_NONE = re.compile(r"^No (?:unfinished |matching )?job found", re.MULTILINE)
_KILLED = re.compile(r"already finished|No matching job found|is not found")
_QUEUE = re.compile(r"^(\S+) +\S+ +Open:", re.MULTILINE)
_PHASES = {
    "PEND": PENDING, "PROV": PENDING, "PSUSP": PENDING, "WAIT": PENDING, "FWD_PEND": PENDING,
    "RUN": RUNNING, "USUSP": RUNNING, "SSUSP": RUNNING, "DONE": GONE, "EXIT": GONE,
}
"""``UNKWN`` and ``ZOMBI`` are not among them: LSF has lost the host, and cannot tell."""
_ENDS = {
    "TERM_RUNLIMIT": ("time limit", "the job's time is over"),
    "TERM_DEADLINE": ("time limit", "its deadline has passed"),
    "TERM_WINDOW": ("time limit", "the queue's hours are over"),
    "TERM_OWNER": ("stopped", "cancelled by its owner"),
    "TERM_FORCE_OWNER": ("stopped", "cancelled by its owner"),
    "TERM_ADMIN": ("stopped", "cancelled by an administrator"),
    "TERM_FORCE_ADMIN": ("stopped", "cancelled by an administrator"),
    "TERM_MEMLIMIT": ("failed", "it used more memory than it had asked for"),
    "TERM_PREEMPT": ("failed", "another job took its place"),
    "TERM_ZOMBIE": ("failed", "its node failed"),
}
_FINISH = re.compile(r"(\w{3} +\d{1,2} \d\d:\d\d(?::\d\d)?)(?: (\d{4}))?(?: [LEX])?")
_MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


class Lsf(Scheduler):
    """LSF as an ordinary user sees it."""

    name = "lsf"
    requeues = False
    settling_seconds = 30.0  # where a daemon of its own answers bjobs (LSB_QUERY_PORT), from a picture some seconds old
    no_steps = "blaunch works only from inside the job, not from a login host"
    only_queue = True
    refused: Mapping[str, str] = {
        "qos": "Write partition for a queue, or extra: ['-sla NAME']", "gres": "Write extra: ['-R rusage[NAME=1]']",
        "nodes": "A session runs on one node: ask for cpus", "mail_type": "Write extra: ['-B'] or ['-N']",
    }
    own_options = (
        "-J", "-o", "-oo", "-e", "-eo", "-i", "-I", "-Ip", "-Is", "-K", "-cwd", "-r", "-rn", "-env", "-Zs", "-L",
    )

    def inside(self, around: Surroundings) -> Inside:
        """LSF says nothing of the end of a job's time."""
        return Inside(around.environment.get("LSB_JOBID", ""))

    def refusal(self, resources: Resources) -> str | None:
        """``bqueues -u`` lists the queues that the account may use, closed ones too; LSF tries nothing out."""
        told = asked.checked(self._run(["bqueues", "-w", "-u", user()]), "bqueues").out
        name, taking = resources.partition, _QUEUE.findall(told)
        if not told.startswith("QUEUE_NAME ") or "@" in name:  # of another cluster, which is not in the list
            return None
        if not taking:
            return f"no queue takes jobs of {user()}"
        return "" if name in ("", *taking) else f"{name} is no queue that takes jobs of {user()}: {', '.join(taking)}"

    def submit(self, order: Order) -> str:
        """Submit with ``bsub``; where the batch system does not answer, the job may exist."""
        argv = submit_argv(order, self._site)
        return read_submit(self._run(argv, seconds=asked.SUBMIT_SECONDS, as_it_is=True))  # the job gets its environment

    def query(self, job_id: str) -> Job:
        """One job by its id; GONE only where LSF says that it has ended, or that it does not know the id."""
        result = self._run(["bjobs", "-json", "-o", _FIELDS, job_id])
        for _name, job in read_jobs(result, missing=job_id):
            if job.job_id == job_id:
                return job
        return Job(job_id, GONE)

    def find(self, name: str) -> list[Job]:
        """The account's jobs of this name."""
        return [job for _name, job in self._own(lambda called: called == name)]

    def sessions(self) -> list[tuple[str, Job]]:
        """The account's jobs with names of ours."""
        own = self._own(lambda called: bool(job_names.session_of(called, self._root)))
        return [(job_names.session_of(called, self._root), job) for called, job in own]

    def cancel(self, job_id: str) -> None:
        """``bkill`` complains about jobs that are gone."""
        result = self._run(["bkill", job_id], seconds=asked.SUBMIT_SECONDS)
        said = f"{result.out}\n{result.err}"
        if result.timed_out or (result.code != 0 and not _KILLED.search(said)):
            raise SchedulerUnavailable(f"bkill could not end job {job_id}: {asked.words(said) or 'it did not answer'}")

    def _own(self, wanted: Callable[[str], bool]) -> list[tuple[str, Job]]:
        """Those of the names ``wanted`` that are not gone: ``bjobs`` lists no others unless it is told to."""
        jobs = read_jobs(self._run(["bjobs", "-json", "-o", _FIELDS]), wanted)
        return [(name, job) for name, job in jobs if job.phase != GONE]

    def _run(self, argv: list[str], *, seconds: float = asked.QUERY_SECONDS, as_it_is: bool = False) -> Result:
        return asked.run(self.name, argv, seconds=seconds, hidden=_HIDDEN, as_it_is=as_it_is)


def submit_argv(order: Order, site: Site) -> list[str]:
    """The ``bsub`` command line for ``order``; its last words are joined for a shell."""
    wanted = order.resources
    needs = ["span[hosts=1]", wanted.memory and f"rusage[mem={_memory(order, site)}MB]",
             wanted.constraint and f"select[{wanted.constraint}]"]
    options = {
        "-W": str(-(-time_seconds(wanted.time) // 60)) if wanted.time else "", "-n": wanted.cpus,
        "-q": wanted.partition, "-P": wanted.project, "-U": wanted.reservation, "-gpu": _gpus(wanted.gpus),
        "-w": wanted.dependency, "-u": wanted.mail_user,
    }
    fixed = ["-J", order.name, "-o", "/dev/null", "-cwd", order.directory, "-rn"]
    named = [word for name, value in options.items() if value for word in (name, value)]
    required = [word for need in needs if need for word in ("-R", need)]
    alone = ["-x"] if wanted.exclusive else []
    return ["bsub", *fixed, *named, *required, *alone, *split(wanted.extra), *map(shlex.quote, order.argv)]


def _memory(order: Order, site: Site) -> int:
    """In megabytes, rounded up; for each slot where the site reserves it so."""
    text = order.resources.memory
    slots = int(order.resources.cpus or 1) if site.memory_per == "slot" else 1
    return int(-(-int(text[:-1]) * _MEGABYTES[text[-1]] // slots))


def _gpus(text: str) -> str:
    kind, _colon, count = text.rpartition(":")
    return f"num={count}" + (f":gmodel={kind}" if kind else "") if count else ""


def read_submit(result: Result) -> str:
    """The job's id from what ``bsub`` did; raises ``SubmitUnclear`` where a job may exist all the same."""
    if result.timed_out:
        raise SubmitUnclear(f"bsub did not answer within {asked.SUBMIT_SECONDS} seconds")
    named: set[str] = set(_SUBMITTED.findall(result.out))
    said = asked.words(result.err)
    if result.code == 0:
        if len(named) != 1:
            raise SubmitUnclear(f"bsub succeeded without naming one job: {result.out.strip()!r}")
        return named.pop()
    if named or asked.is_cut_off(result) or _UNCLEAR.search(said):
        raise SubmitUnclear(f"bsub could not say whether it submitted: {said}")
    raise SubmitRefused(f"LSF refused the job: {said}")


def read_jobs(
    result: Result, wanted: Callable[[str], bool] | None = None, *, missing: str = ""
) -> list[tuple[str, Job]]:
    """The jobs that ``bjobs`` tells of, of the names ``wanted``; others may be in states that we do not know.

    None only in its own words: that there are none or, of the one asked for, ``missing``, that there is no such job.
    """
    if result.timed_out:
        raise SchedulerUnavailable(f"bjobs did not answer within {asked.QUERY_SECONDS} seconds")
    lost = f"Job <{missing}> is not found"
    records = _records(result.out)
    if records is None:
        said = f"{result.err}\n{result.out}"
        if lost in said if missing else _NONE.search(said):
            return []
        raise SchedulerUnavailable(f"bjobs failed: {asked.words(result.err) or 'it answered with nothing'}")
    if missing and [str(told.get("ERROR", "")).strip() for told in records] == [lost]:
        return []
    named = [(str(told.get("JOB_NAME", "")).strip(), told) for told in records]
    jobs = [(name, _job(told)) for name, told in named if wanted is None or wanted(name)]
    if missing and missing not in [job.job_id for _name, job in jobs]:
        raise SchedulerUnavailable(f"bjobs did not answer about job {missing}")
    return jobs


def _records(text: str) -> list[dict[str, Any]] | None:
    """The records of an answer in JSON, of which there are as many as it says; ``None`` where it is none."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        told = json.loads(text[start:], strict=False)
        records = [dict(record) for record in told["RECORDS"]]
        whole = int(told["JOBS"]) == len(records)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SchedulerUnavailable("bjobs' answer was cut off, or is none") from error
    if not whole:
        raise SchedulerUnavailable("bjobs' answer was cut off, or is none")
    return records


def _job(told: Mapping[str, Any]) -> Job:
    said = {name: str(value).strip() for name, value in told.items()}
    job_id, state = said.get("JOBID", ""), said.get("STAT", "")
    phase = _PHASES.get(state)
    if phase is None or not job_id:
        raise SchedulerUnavailable(f"bjobs gave job {job_id} the state {state!r}: LSF cannot tell")
    how, ended = _end(state, said) if phase == GONE else ("", "")
    first = said.get("EXEC_HOST", "").split(":")[0]
    return Job(
        job_id=job_id,
        phase=phase,
        reason=_waits(state, said) if phase == PENDING else ended,
        how=how,
        node=first.rpartition("*")[2].split(".")[0].strip("-"),
        ends_at=asked.moment(finish(said.get("FINISH_TIME", ""), now=time.time())) if phase == RUNNING else "",
    )


def _waits(state: str, said: Mapping[str, str]) -> str:
    reason = said.get("PEND_REASON", "").rstrip(";").strip("-")
    return reason or ("it is suspended" if state == "PSUSP" else "")


def _end(state: str, said: Mapping[str, str]) -> tuple[str, str]:
    if state == "DONE":
        return "finished", ""
    told, code = said.get("EXIT_REASON", "").strip("-"), said.get("EXIT_CODE", "").strip("-")
    known = _ENDS.get(told.split(":")[0].strip())
    return known or ("failed", told or (f"it ended with exit code {code}" if code else "it failed"))


def finish(text: str, *, now: float) -> float:
    """When a job's time is over: ``Nov 21 05:42 L``, with or without seconds and a year; 0 where that is not told."""
    found = _FINISH.fullmatch(text)
    if found is None:
        return 0.0
    if found.group(2):
        return _epoch(found.group(1), int(found.group(2)))
    # Without a year it is the next such day: a job that runs has not come to its end long ago.
    year = time.gmtime(now).tm_year
    this, following = _epoch(found.group(1), year), _epoch(found.group(1), year + 1)
    return this if this > now - 86400 else following


def _epoch(text: str, year: int) -> float:
    form = "%b %d %H:%M:%S %Y" if text.count(":") == 2 else "%b %d %H:%M %Y"
    try:
        return float(asked.epoch(f"{text} {year}", form))
    except ValueError:
        return 0.0

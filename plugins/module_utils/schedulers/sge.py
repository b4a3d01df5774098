# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grid Engine, through ``qsub``, ``qstat``, ``qdel`` and ``qacct``; texts and exit codes as release 8.1.9 gives them.

A job is submitted with ``-notify``: USR2 comes ``notify`` seconds (of its queue) before KILL, also at the end of its
time, and with ``-r n``: what a node has lost does not start again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Callable, Iterator, Mapping
from xml.etree import ElementTree as ET

from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources, time_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import asked, sge_end
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

Wanted = Callable[[str, str], bool]
"""Whether a job is, by its number and its name."""
_ID = re.compile(r"[1-9][0-9]*")
_UNCLEAR = ("unable to contact", "unable to send", "got send error", "got read error", "commlib", "timed out")
_STATE = re.compile(r"[dEhqrRsStTwz]+")
_SIGNED = re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d \[\d+:\d+\]: (?:error: )?")


class Sge(Scheduler):
    """Grid Engine as an ordinary user sees it."""

    name = "sge"
    requeues = False
    no_steps = "qrsh -inherit works only from inside the job, not from a login host"
    refused: Mapping[str, str] = {
        "qos": "Use project, or partition for a queue", "nodes": "A session runs on one node: ask for cpus",
        "constraint": "Write extra: ['-l NAME=VALUE']", "gres": "Write extra: ['-l NAME=VALUE']",
        "exclusive": "Write extra: ['-l exclusive=true'] where the site has such a resource",
    }
    own_options = (
        "-N", "-o", "-e", "-j", "-wd", "-cwd", "-terse", "-sync", "-t", "-V", "-v", "-b", "-S", "-r", "-notify", "-now",
        "-@", "-C", "-clear",
    )

    def inside(self, around: Surroundings) -> Inside:
        """Grid Engine says nothing of the end of a job's time."""
        environment = around.environment
        host = environment.get("HOSTNAME", "").split(".")[0]
        return Inside(environment.get("JOB_ID", ""), node=host, restarts=int(environment.get("RESTARTED") == "1"))

    def refusal(self, resources: Resources) -> str | None:
        """``qsub -w v`` looks whether any queue could run the job if all were empty, and submits nothing."""
        argv = ["qsub", *_resource_options(resources, self._site), "-w", "v", "-b", "y", "/bin/true"]
        result = asked.run(self.name, argv, seconds=asked.SUBMIT_SECONDS)
        words = asked.words(result.err)
        if result.code == 0 and not result.timed_out:
            return "" if "found suitable queue" in result.out else None
        if asked.is_cut_off(result) or any(text in words.lower() for text in _UNCLEAR):
            raise SchedulerUnavailable(f"qsub -w v could not say: {words or 'it did not answer'}")
        return words

    def submit(self, order: Order) -> str:
        """Submit with ``qsub``; a lost master is ``SubmitUnclear``: the job may exist."""
        return read_submit(asked.run(self.name, submit_argv(order, self._site), seconds=asked.SUBMIT_SECONDS))

    def query(self, job_id: str) -> Job:
        """One job by its id; GONE only where Grid Engine says that it does not know the id."""
        for row in self._rows(lambda number, _name: number == job_id):
            return self._explained(row.job)
        known = asked.run(self.name, ["qstat", "-j", job_id])
        if not is_unknown(known, job_id=job_id):
            asked.checked(known, "qstat")
            raise SchedulerUnavailable(f"qstat knows job {job_id} and does not list it")
        return sge_end.ended(job_id)

    def find(self, name: str) -> list[Job]:
        """The account's jobs of this name."""
        return [row.job for row in self._rows(lambda _number, called: called == name) if row.job.phase != GONE]

    def sessions(self) -> list[tuple[str, Job]]:
        """The account's jobs with names of ours."""
        rows = self._rows(lambda _number, name: bool(job_names.session_of(name, self._root)))
        return [
            (job_names.session_of(row.name, self._root), replace(row.job, starts_at=row.started))
            for row in rows if row.job.phase != GONE
        ]

    def cancel(self, job_id: str) -> None:
        """``qdel`` complains about jobs that are gone, or are on their way."""
        result = asked.run(self.name, ["qdel", job_id], seconds=asked.SUBMIT_SECONDS)
        said = f"{result.out}\n{result.err}"
        if result.timed_out or (result.code != 0 and not re.search(r"does not exist|already in deletion", said)):
            raise SchedulerUnavailable(f"qdel could not end job {job_id}: {asked.words(said) or 'it did not answer'}")

    def _rows(self, wanted: Wanted) -> list[Row]:
        argv = ["qstat", "-xml", "-r", "-s", "a", "-u", user()]
        return parse_list(asked.checked(asked.run(self.name, argv), "qstat").out, wanted)

    def _explained(self, job: Job) -> Job:
        """With the reason why it waits; that is asked for apart, and nothing is lost where it is not told."""
        if job.phase != PENDING:
            return job
        told = asked.run(self.name, ["qstat", "-j", job.job_id])
        reason = "" if told.code or told.timed_out else why(told.out)
        return replace(job, reason=": ".join(part for part in (job.reason, reason) if part))


@dataclass(frozen=True)
class Row:
    """One job of ``qstat``'s list."""

    job: Job
    name: str
    started: str = ""


def submit_argv(order: Order, site: Site) -> list[str]:
    """The ``qsub`` command line for ``order``."""
    fixed = ["-terse", "-sync", "n", "-N", order.name, "-j", "y", "-o", order.log, "-wd", order.directory]
    ways = ["-S", "/bin/bash", "-notify", "-r", "n", "-w", "e"]
    return ["qsub", *fixed, *ways, *_resource_options(order.resources, site), *order.argv]


def _resource_options(wanted: Resources, site: Site) -> list[str]:
    slots = int(wanted.cpus or 1)
    limits = {
        "h_rt": str(time_seconds(wanted.time)) if wanted.time else "",
        site.memory_resource or "h_vmem": _memory(wanted.memory, slots=1 if site.memory_per == "job" else slots),
        **_gpus(wanted.gpus, site),
    }
    asked_for = ",".join(f"{name}={value}" for name, value in limits.items() if value)
    options = {
        "-l": asked_for, "-q": wanted.partition, "-P": wanted.project, "-ar": wanted.reservation,
        "-hold_jid": wanted.dependency, "-M": wanted.mail_user, "-m": wanted.mail_type,
    }
    parallel = ["-pe", site.parallel_environment or "smp", str(slots)] if slots > 1 else []
    return [*parallel, *(word for pair in options.items() if pair[1] for word in pair), *split(wanted.extra)]


def _memory(text: str, *, slots: int) -> str:
    """Each slot's part, in whole megabytes where it does not divide."""
    if not text:
        return ""
    number, unit = int(text[:-1]), text[-1]
    if unit == "T":
        number, unit = number * 1024, "G"  # not every release knows T
    if number % slots == 0:
        return f"{number // slots}{unit}"
    kilobytes = number * 1024 ** "KMGT".index(unit)
    return f"{-(-kilobytes // slots // 1024)}M"


def _gpus(text: str, site: Site) -> dict[str, str]:
    """A type is a resource of its own at sites that have several; most call it ``gpu_type``."""
    kind, _colon, count = text.rpartition(":")
    return {site.gpu_resource or "gpu": count, "gpu_type": kind}


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
    if named or asked.is_cut_off(result) or any(text in said.lower() for text in _UNCLEAR):
        raise SubmitUnclear(f"qsub could not say whether it submitted: {said}")
    raise SubmitRefused(f"Grid Engine refused the job: {said}")


def parse_list(text: str, wanted: Wanted = lambda _number, _name: True) -> list[Row]:
    """The jobs in the output of ``qstat -xml -r`` that are ``wanted``; what is not whole is no answer.

    Other jobs of the account may be in states that we do not know.
    """
    start = text.find("<?xml")
    try:
        root = ET.fromstring(text[max(start, 0):].strip())  # noqa: S314 - the scheduler's own
    except ET.ParseError as error:
        raise SchedulerUnavailable("qstat's answer was cut off, or is none") from error
    if root.tag != "job_info" or [part.tag for part in root] != ["queue_info", "job_info"]:
        raise SchedulerUnavailable("qstat's answer is not a list of jobs")
    return list(_rows(root, wanted))


def _rows(root: ET.Element, wanted: Wanted) -> Iterator[Row]:
    for entry in root.iter("job_list"):
        job_id, state = _text(entry, "JB_job_number"), _text(entry, "state")
        name = _text(entry, "full_job_name") or _text(entry, "JB_name")
        if not _ID.fullmatch(job_id) or not name:
            raise SchedulerUnavailable("qstat's answer has a job without a number or a name")
        if wanted(job_id, name):
            yield Row(_job(job_id, state, entry), name, started=asked.moment(_started(entry)))


def _text(entry: ET.Element, tag: str) -> str:
    return (entry.findtext(tag) or "").strip()


def _job(job_id: str, state: str, entry: ET.Element) -> Job:
    phase = _phase(job_id, state)
    began, limit = _started(entry), _limit(entry)
    return Job(
        job_id=job_id,
        phase=phase,
        reason=_waits(state) if phase == PENDING else "",
        hopeless=phase == PENDING and "E" in state,
        node=_text(entry, "queue_name").rpartition("@")[2].split(".")[0],
        ends_at=asked.moment(began + limit) if phase == RUNNING and began and limit else "",
    )


def _phase(job_id: str, state: str) -> str:
    """By the letters of a state, of which the first that tells counts."""
    if not _STATE.fullmatch(state):
        raise SchedulerUnavailable(f"qstat gave job {job_id} the unknown state {state!r}")
    if "z" in state:
        return GONE
    if "d" in state:
        return ENDING
    if "E" in state:
        return PENDING
    if set("rtsST") & set(state):
        return RUNNING
    return PENDING


def _waits(state: str) -> str:
    if "E" in state:
        return "it is in error state"
    return "it is held" if "h" in state else ""


def _started(entry: ET.Element) -> float:
    """Seconds since the epoch, of what ``qstat`` writes in our time zone, or as milliseconds in later releases."""
    text = _text(entry, "JAT_start_time")
    if text.isdigit():
        return float(text) / 1000 if len(text) > 11 else float(text)
    try:
        return float(asked.epoch(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0.0


def _limit(entry: ET.Element) -> float:
    found = [each.text or "" for each in entry.iter("hard_request") if each.get("name") == "h_rt"]
    return asked.seconds(found[0]) if found else 0.0


def is_unknown(result: Result, *, job_id: str) -> bool:
    """Whether ``qstat -j`` said that there is no such job."""
    words = result.err.split()
    return result.code == 1 and not result.timed_out and "do not exist" in result.err and words[-1:] == [job_id]


def why(text: str) -> str:
    """Why a job waits, from ``qstat -j``: an error's text, or the first thing that the scheduler says."""
    failed = re.search(r"^error reason\s+\d+:\s+(.*)$", text, re.MULTILINE)
    if failed:
        return _SIGNED.sub("", failed.group(1))
    told = re.search(r"^scheduling info:\s+(.*)$", text, re.MULTILINE)
    said = told.group(1).strip() if told else ""
    return "" if said.startswith("There are no messages") else said

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session as it really is: what its record says, and what the scheduler says of its job."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils import plan as planning
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.files import age_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import BY_OWNER, Observed, View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import GONE, RUNNING, Job, Scheduler

_CONSISTENT_TRIES = 5
_JUST_ENDED_SECONDS = 600.0
_FINAL = ("finished", "idle", "time limit", "unclaimed")
"""Ends that no scheduler undoes by itself. Whoever takes a node for a more urgent job makes a session ``stopped``."""


def job_name(session: str, layout: Layout) -> str:
    """The job's name: the key under which a session's job is found again, of this account directory alone."""
    return job_names.job_name(session, layout.root)


def observe(layout: Layout, name: str, scheduler: Scheduler, *, by_name: bool = False) -> Observed:
    """Record and scheduler's word; jobs are searched for ``by_name`` too when asked, or when the record has no id.

    The answer is about the record that it holds: if that changed while the scheduler was asked, it is asked again.
    """
    path = layout.session(name).record
    for _each in range(_CONSISTENT_TRIES):
        record = rec.read(path)
        seen = _ask(record, layout, name, scheduler, by_name=by_name)
        latest = rec.read(path)
        if _job_key(latest) == _job_key(record):
            return replace(seen, record=latest)
    return Observed(rec.read(path), trouble="the session keeps changing")


def _job_key(record: Record | None) -> object:
    return (record.generation, record.job_id) if record else None


def _ask(record: Record | None, layout: Layout, name: str, scheduler: Scheduler, *, by_name: bool) -> Observed:
    path = layout.session(name).record
    live = record is not None and record.state != rec.ENDED
    unclear = live and record is not None and not record.job_id
    age = (age_seconds(path) or 0.0) if unclear else 0.0
    try:
        named = tuple(scheduler.find(job_name(name, layout))) if by_name or unclear else ()
        job = _own(record, named, scheduler, path=path) if record and record.job_id else None
    except SchedulerUnavailable as error:
        return Observed(record, trouble=str(error), age_seconds=age)
    if live and record is not None and job is not None and _is_settling(record, job, scheduler, path=path):
        return Observed(record, trouble=f"{scheduler.name} does not show job {job.job_id} yet. Try again in a moment")
    patience = scheduler.unclear_seconds() if unclear else 0.0
    return Observed(record, job, named, age_seconds=age, unclear_seconds=patience)


def _own(record: Record, named: Sequence[Job], scheduler: Scheduler, *, path: str) -> Job | None:
    """The job of ``record``: as it was found by its name, or as the scheduler says when it is asked for it."""
    found = [job for job in named if job.job_id == record.job_id]
    if record.state != rec.ENDED:
        return found[0] if found else scheduler.query(record.job_id)
    asked = found or ([scheduler.query(record.job_id)] if _may_go_on(record, scheduler, path=path) else [])
    return _counted(asked[0], record, scheduler) if asked else None


def _is_settling(record: Record, job: Job, scheduler: Scheduler, *, path: str) -> bool:
    """Whether a job that is said not to be there may be too new to be known; one that has begun writes its ``pid``."""
    if job.phase != GONE or job.how or record.pid:
        return False
    return (age_seconds(path) or 0.0) < scheduler.settling_seconds


def _counted(job: Job, record: Record, scheduler: Scheduler) -> Job:
    """The job, and whether it runs because it was begun anew: then its supervisor is about to take the session up."""
    return replace(job, restarted=job.phase == RUNNING and scheduler.restarts(job.job_id) > record.restarts)


def _may_go_on(record: Record, scheduler: Scheduler, *, path: str) -> bool:
    """Whether the job of a session that has ended may be put back into the queue, or still ends."""
    if not scheduler.requeues:
        return False
    age = age_seconds(path)
    if age is not None and age < _JUST_ENDED_SECONDS:
        return True
    return record.how not in _FINAL and record.reason != BY_OWNER


def look(layout: Layout, name: str, scheduler: Scheduler) -> View:
    """The session as it really is."""
    return planning.view(observe(layout, name, scheduler))


def names(layout: Layout) -> list[str]:
    """The names of the sessions that this account has a record of."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(layout.sessions) if os.path.isdir(layout.session(name).path))
    return []


def conclude(files: SessionFiles, generation: int, *, how: str, reason: str) -> None:
    """Write the end of a session, unless its supervisor or a newer generation has spoken."""

    def change(latest: Record | None) -> Record | None:
        if latest is None or latest.generation != generation or latest.state == rec.ENDED:
            return None
        return rec.ended(latest, how=how, reason=reason)

    rec.update(files.record, change)

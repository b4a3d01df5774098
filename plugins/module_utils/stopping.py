# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending a session: every job that it may have, also one whose submit was cut off."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils import asking
from ansible_collections.hpc.jupyter.plugins.module_utils import plan as planning
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError, SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.files import FULL, sweep
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.lock import held
from ansible_collections.hpc.jupyter.plugins.module_utils.observing import job_name, observe
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import (
    BY_OWNER,
    DEBRIS_SECONDS,
    LOCK_WAIT_SECONDS,
    Outcome,
    View,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Scheduler,
)


def decide_stop(layout: Layout, name: str, scheduler: Scheduler) -> tuple[View, list[str]]:
    """What ``stop`` would end: the session as it is, and the ids of its jobs. Changes nothing."""
    observed = observe(layout, name, scheduler, by_name=True)
    if observed.trouble:
        raise SchedulerUnavailable(f"{scheduler.name} cannot be asked, so nothing was stopped: {observed.trouble}")
    recorded = [observed.job] if observed.job is not None and observed.job.phase != GONE else []
    jobs = {job.job_id: job for job in (*recorded, *observed.named)}
    return planning.view(observed), list(jobs)


def stop(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float, race: str = "") -> Outcome:
    """End the session's job, whichever it is found by, and wait until it is gone; with ``race`` only one of that race.

    Raises ``SchedulerUnavailable`` if that cannot be made sure of within ``seconds``.
    """
    files = layout.session(name)
    try:
        if os.path.isdir(files.path):
            return _stop_recorded(files, layout, name, scheduler, seconds=seconds, race=race)
    except FileNotFoundError:  # a cleaning took the directory, and our lock, while we waited
        if os.path.isdir(files.path):
            raise
    if race:
        return _NOTHING
    return _stop_without_record(layout, name, scheduler, seconds=seconds)


def _stop_recorded(
    files: SessionFiles, layout: Layout, name: str, scheduler: Scheduler, *, seconds: float, race: str
) -> Outcome:
    with _held_even_when_full(files, name):
        sweep(files.path, older_than_seconds=DEBRIS_SECONDS)
        if race and not is_of(rec.read(files.record), race):
            return _NOTHING
        before, jobs = _settled(layout, name, scheduler)
        ended = _end(jobs, layout, name, scheduler, seconds=seconds)
        if before.record is not None:
            with _unless_full():
                _conclude(files, before.record.generation)
        asking.forget_landings(files)
        return Outcome(before, View(rec.read(files.record)), changed=bool(ended))


def is_of(record: Record | None, race: str) -> bool:
    """Whether the session was submitted for this race, and nobody has come for it."""
    return record is not None and record.race == race


_NOTHING = Outcome(View(None), View(None), changed=False)


def _stop_without_record(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> Outcome:
    """End jobs of a session whose directory is gone; there is nothing to lock and nothing to write."""
    if not os.path.isdir(layout.root):
        return _NOTHING
    _before, jobs = decide_stop(layout, name, scheduler)
    ended = _end(jobs, layout, name, scheduler, seconds=seconds)
    return Outcome(View(None), View(None), changed=bool(ended))


def _conclude(files: SessionFiles, generation: int) -> None:
    """Write that the session was stopped for good, also where its supervisor only knew that it was told to end."""

    def change(latest: Record | None) -> Record | None:
        if latest is None or latest.generation != generation:
            return None
        told = latest.state == rec.ENDED and (latest.how != "stopped" or latest.reason == BY_OWNER)
        return None if told else rec.ended(latest, how="stopped", reason=BY_OWNER)

    rec.update(files.record, change)


def _settled(layout: Layout, name: str, scheduler: Scheduler) -> tuple[View, list[str]]:
    """What to end, once a submit that was cut off has either shown its job or had its time."""
    began = time.monotonic()
    seen, jobs = decide_stop(layout, name, scheduler)
    patience = scheduler.unclear_seconds() if seen.state == rec.UNKNOWN else 0.0
    while not jobs and seen.state == rec.UNKNOWN and time.monotonic() - began < patience + 5:
        time.sleep(0.5)
        seen, jobs = decide_stop(layout, name, scheduler)
    return seen, jobs


def _end(jobs: list[str], layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> list[str]:
    """Cancel ``jobs`` and those of the session's name that have come meanwhile; all that were ended."""
    ended: list[str] = []
    deadline = time.monotonic() + seconds
    while jobs:
        for job_id in jobs:
            scheduler.cancel(job_id)
        _await_gone(scheduler, jobs, deadline=deadline, seconds=seconds)
        ended += jobs
        found = scheduler.find(job_name(name, layout)) if time.monotonic() < deadline else []
        jobs = [job.job_id for job in found if job.job_id not in ended and job.phase != ENDING]
    return ended


@contextlib.contextmanager
def _held_even_when_full(files: SessionFiles, name: str) -> Iterator[None]:
    """The session's lock; where the disk has no room for it, a job must be stoppable all the same."""
    with contextlib.ExitStack() as stack:
        with _unless_full():
            stack.enter_context(held(files.lock, wait_seconds=LOCK_WAIT_SECONDS, what=f"session {name}"))
        yield


@contextlib.contextmanager
def _unless_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise


def _await_gone(scheduler: Scheduler, jobs: list[str], *, deadline: float, seconds: float) -> None:
    """Wait until the scheduler has forgotten or finished ``jobs``; one that it still cleans up at the end counts."""
    for job_id in jobs:
        phase = scheduler.query(job_id).phase
        while phase != GONE and time.monotonic() < deadline:
            time.sleep(0.2)
            phase = scheduler.query(job_id).phase
        if phase in (PENDING, RUNNING):
            raise HpcJupyterError(f"job {job_id} was cancelled but is still {phase} after {seconds:.0f} seconds")

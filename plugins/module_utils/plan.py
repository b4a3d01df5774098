# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about a session, decided purely from what was observed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, Job

SUBMIT = "submit"
ADOPT = "adopt"
KEEP = "keep"
AWAIT = "await"

AMBIGUOUS_SECONDS = 30.0
"""How long an unanswered submit may still turn into a job: twice Slurm's default MessageTimeout, and some."""


@dataclass(frozen=True)
class Observed:
    """What record and scheduler say of one session.

    ``job`` is the recorded job; ``named`` are live jobs of the session's name. ``trouble`` says why the scheduler
    could not be asked; then ``job`` and ``named`` mean nothing. ``age_seconds`` is the record's.
    """

    record: Record | None = None
    job: Job | None = None
    named: tuple[Job, ...] = ()
    trouble: str = ""
    age_seconds: float = 0.0


@dataclass(frozen=True)
class View:
    """A session as it really is: the record, corrected by the scheduler's word."""

    record: Record | None
    starts_at: str = ""
    hopeless: bool = False

    @property
    def state(self) -> str:
        """The session's state, empty if there never was one."""
        return self.record.state if self.record else ""

    @property
    def is_live(self) -> bool:
        """Whether there is, or may be, a job."""
        return self.state not in ("", rec.ENDED)

    @property
    def is_final(self) -> bool:
        """Whether waiting is over."""
        return self.state in (rec.READY, rec.ENDED, "")

    def to_dict(self) -> dict[str, Any]:
        """The view as answers give it; there is no secret in it."""
        return dict(asdict(self.record), starts_at=self.starts_at) if self.record else {}


@dataclass(frozen=True)
class Plan:
    """``action`` is SUBMIT, ADOPT (``job``), AWAIT (an unclear submit) or KEEP; ``view`` is the state before it."""

    action: str
    view: View
    job: Job | None = None


def view(observed: Observed) -> View:
    """The session's true state."""
    record, job = observed.record, observed.job
    if record is None:
        return View(None)
    if record.state == rec.ENDED and (job is None or job.phase != PENDING):
        return View(record)
    if observed.trouble:
        return View(replace(record, state=rec.UNKNOWN, reason=observed.trouble))
    if job is None:
        return View(_cut_off(record, observed))
    if job.phase in (ENDING, GONE):
        how, reason = job.how or "lost", job.reason or "the job is gone"
        return View(rec.ended(record, how=how, reason=reason))
    if job.phase == PENDING:
        queued = replace(record, state=rec.QUEUED, how="", reason=job.reason, job_id=job.job_id)
        return View(queued, starts_at=job.starts_at, hopeless=job.hopeless)
    return View(_running(record, job))


def _cut_off(record: Record, observed: Observed) -> Record:
    """A session whose submit was never answered: its job may appear for a while, under its name."""
    if observed.named or observed.age_seconds < AMBIGUOUS_SECONDS:
        return replace(record, state=rec.UNKNOWN, reason="the submit was cut off; its job may still appear")
    return rec.ended(record, how="failed", reason="the submit was cut off and never reached the scheduler")


def _running(record: Record, job: Job) -> Record:
    state = record.state if record.state in (rec.STARTING, rec.READY) else rec.STARTING
    return replace(
        record, state=state, job_id=job.job_id, node=record.node or job.node, ends_at=job.ends_at or record.ends_at
    )


def plan(observed: Observed) -> Plan:
    """At most one job per session: keep what lives, adopt what is found by name, submit only when nothing is left."""
    current = view(observed)
    if observed.trouble:
        return Plan(KEEP if current.is_live else AWAIT, current)
    orphans = [job for job in observed.named if job.phase != ENDING and _is_orphan(job, observed.record)]
    if current.is_live and observed.job is None:
        return Plan(ADOPT, current, job=orphans[0]) if orphans else Plan(AWAIT, current)
    if current.is_live:
        return Plan(KEEP, current)
    if orphans:
        return Plan(ADOPT, current, job=orphans[0])
    # What is ending may yet be put back into the queue, by a requeue or a preemption.
    return Plan(AWAIT if any(job.phase == ENDING for job in observed.named) else SUBMIT, current)


def _is_orphan(job: Job, record: Record | None) -> bool:
    """Whether the record leaves this job out: another one, or its own that ended and was put back into the queue."""
    if record is None or job.job_id != record.job_id:
        return True
    return record.state == rec.ENDED and job.phase == PENDING

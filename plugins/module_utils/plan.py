# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about a session, decided purely from what was observed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Job,
)

SUBMIT = "submit"
ADOPT = "adopt"
KEEP = "keep"
AWAIT = "await"

_TAKEN = ("stopped", "lost")
"""What the end of a session looks like from whom a more urgent job, or an administrator, has taken the node."""
BY_OWNER = "stopped by its owner"
"""Why a session has ended whose job was cancelled: it is not put back into the queue."""
DEBRIS_SECONDS = 600.0
"""How old a writer's temporary file is before it is nobody's any more."""
LOCK_WAIT_SECONDS = 90.0
"""How long to wait for another one who changes the session: longer than the lease of one that has died."""


@dataclass(frozen=True)
class Observed:
    """What record and scheduler say of one session.

    ``job`` is the recorded job; ``named`` are live jobs of the session's name. ``trouble`` says why the scheduler
    could not be asked; then ``job`` and ``named`` mean nothing. ``age_seconds`` is the record's, and
    ``unclear_seconds`` how long the submit that it intends may still turn into a job, where no job is known.
    """

    record: Record | None = None
    job: Job | None = None
    named: tuple[Job, ...] = ()
    trouble: str = ""
    age_seconds: float = 0.0
    unclear_seconds: float = 30.0


@dataclass(frozen=True)
class View:
    """A session as it really is: the record, corrected by the scheduler's word.

    ``ending`` says of one that has ended that its job is not gone yet: some schedulers may put it back into the queue.
    """

    record: Record | None
    starts_at: str = ""
    hopeless: bool = False
    ending: bool = False

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

    @property
    def may_go_on(self) -> bool:
        """Whether one that has ended may yet be put back into the queue: it was told to end, or killed, and ends."""
        record = self.record
        return self.ending and record is not None and record.how in _TAKEN and record.reason != BY_OWNER

    def to_dict(self) -> dict[str, Any]:
        """The view as answers give it; there is no secret in it."""
        more = {"starts_at": self.starts_at, "may_go_on": self.may_go_on}
        return dict(asdict(self.record), **more) if self.record else {}


@dataclass(frozen=True)
class Plan:
    """``action`` is SUBMIT, ADOPT (``job``), AWAIT (an unclear submit, or an end) or KEEP.

    KEEP names the ``job`` too where the record says that it has ended, and it goes on: after a requeue or a preemption.
    ``view`` is the state before it, ``record`` what that was judged by. ``doubles`` are the session's jobs that are not
    to live beside the one that is kept, adopted or submitted.
    """

    action: str
    view: View
    job: Job | None = None
    record: Record | None = None
    doubles: tuple[Job, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What an act led to: the session before and after it."""

    before: View
    after: View
    changed: bool


def view(observed: Observed) -> View:
    """The session's true state."""
    record, job = observed.record, observed.job
    if record is None:
        return View(None)
    if record.state == rec.ENDED and not _goes_on(job):
        # The supervisor knows that it was asked to end, the scheduler by whom.
        if job is not None and record.how == "stopped" and job.reason.startswith("cancelled by "):
            record = replace(record, reason=job.reason)
        return View(record, ending=job is not None and job.phase != GONE)
    if observed.trouble:
        return View(replace(record, state=rec.UNKNOWN, reason=observed.trouble))
    if job is None:
        return View(_cut_off(record, observed))
    if job.phase in (ENDING, GONE):
        how, reason = job.how or "lost", job.reason or "the job is gone"
        return View(rec.ended(record, how=how, reason=reason), ending=job.phase == ENDING)
    if job.phase == PENDING:
        queued = replace(record, state=rec.QUEUED, how="", reason=job.reason, job_id=job.job_id)
        return View(queued, starts_at=job.starts_at, hopeless=job.hopeless)
    return View(_running(record, job))


def _goes_on(job: Job | None) -> bool:
    """Whether the job lives though its supervisor has written an end: it waits to be begun anew, or has been."""
    return job is not None and (job.phase == PENDING or (job.phase == RUNNING and job.restarted))


def _cut_off(record: Record, observed: Observed) -> Record:
    """A session whose submit was never answered: its job may appear for a while, under its name."""
    if observed.named or observed.age_seconds < observed.unclear_seconds:
        return replace(record, state=rec.UNKNOWN, reason="the submit was cut off; its job may still appear")
    return rec.ended(record, how="failed", reason="the submit was cut off and never reached the scheduler")


def _running(record: Record, job: Job) -> Record:
    if record.state == rec.ENDED:
        record = replace(record, how="", reason="", node="")
    state = record.state if record.state in (rec.STARTING, rec.READY) else rec.STARTING
    return replace(
        record, state=state, job_id=job.job_id, node=record.node or job.node, ends_at=job.ends_at or record.ends_at
    )


def plan(observed: Observed) -> Plan:
    """At most one job per session: keep what lives, adopt what is found by name, submit only when nothing is left."""
    return replace(_plan(observed), record=observed.record)


def _plan(observed: Observed) -> Plan:
    current = view(observed)
    if observed.trouble:
        return Plan(KEEP if current.is_live else AWAIT, current)
    orphans = _orphans(observed)
    if current.is_live and observed.job is not None:
        again = observed.job if observed.record is not None and observed.record.state == rec.ENDED else None
        return Plan(KEEP, current, job=again, doubles=orphans)
    if orphans:
        return Plan(ADOPT, current, job=orphans[0], doubles=orphans[1:])
    if current.is_live:
        return Plan(AWAIT, current)
    # What is ending may yet be put back into the queue, by a requeue or a preemption.
    return Plan(AWAIT if observed.named else SUBMIT, current, doubles=_running_on(observed))


def _orphans(observed: Observed) -> tuple[Job, ...]:
    """The session's jobs that the record leaves out; what runs before what waits."""
    own = observed.record.job_id if observed.record is not None else ""
    found = [job for job in observed.named if job.phase != ENDING and job.job_id != own]
    return tuple(sorted(found, key=lambda job: job.phase == PENDING))


def _running_on(observed: Observed) -> tuple[Job, ...]:
    """Jobs that still run though their supervisor has written the end."""
    return tuple(job for job in observed.named if job.phase == RUNNING)

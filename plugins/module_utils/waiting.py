# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a session until it is ready or over."""

from __future__ import annotations

import contextlib
import time

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.files import age_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.observing import conclude, look
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

_WATCH_SECONDS = 0.1
_CLOSE_WATCH_SECONDS, _CLOSE_SECONDS = 0.03, 5.0
"""How often to look, and for how long, when the next change is near and somebody waits for it: Jupyter starts."""
_SETTLED_SECONDS = 2.0
_ENDING_SECONDS, _REQUEUE_SECONDS, _ENDING_PAUSE_SECONDS = 10.0, 45.0, 0.3
"""How long a job may end for: one that was told to, or killed, may be about to be put back into the queue."""
_SOONEST_SECONDS, _SELDOM_SECONDS = 0.3, 40.0


def wait(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float, seen: View | None = None) -> View:
    """Watch the session until it is ready or over, or has been in a new state for a moment, or ``seconds`` are over.

    The record is read ten times a second, and more often while Jupyter has just been started; the scheduler is asked
    ever more seldom, down to once in 40 s, counted from when the session last changed, so also by those who wait in
    several turns. ``seen`` is the session as it was a moment ago, for those who have just looked.
    A job that can never start is cancelled, and its session ended with the scheduler's own reason.
    """
    path = layout.session(name).record
    deadline = time.monotonic() + seconds
    before = rec.read(path)
    first = current = seen or look(layout, name, scheduler)
    changed_at = time.monotonic()
    while not current.is_final and time.monotonic() < deadline:
        if current.hopeless:
            return _withdraw(layout, name, scheduler, current)
        same_seconds = time.monotonic() - changed_at
        if current.state not in (first.state, rec.UNKNOWN) and same_seconds > _SETTLED_SECONDS:
            break
        pause = _pause(path, current, same_seconds=same_seconds)
        close = changed_at + _CLOSE_SECONDS if current.state == rec.STARTING else 0.0
        changed = _changes(path, before, until=min(deadline, time.monotonic() + pause), closely_until=close)
        if pause >= _SELDOM_SECONDS and not changed and time.monotonic() >= deadline:
            break
        before, previous = rec.read(path), current
        current = look(layout, name, scheduler)
        changed_at = changed_at if current.state == previous.state else time.monotonic()
    return _settle(layout, name, _past_ending(layout, name, scheduler, current))


def _past_ending(layout: Layout, name: str, scheduler: Scheduler, current: View) -> View:
    """A job that is ending may be put back into the queue; then its session has not ended."""
    deadline = time.monotonic() + (_REQUEUE_SECONDS if current.may_go_on else _ENDING_SECONDS)
    while current.state == rec.ENDED and current.ending and scheduler.requeues and time.monotonic() < deadline:
        time.sleep(_ENDING_PAUSE_SECONDS)
        current = look(layout, name, scheduler)
    return current


def _pause(path: str, current: View, *, same_seconds: float) -> float:
    """Some times as long as nothing has changed: by the record's age too, unless it is the scheduler that is silent."""
    age = 0.0
    if current.state != rec.UNKNOWN:
        with contextlib.suppress(OSError):
            age = age_seconds(path) or 0.0
    return min(_SELDOM_SECONDS, max(_SOONEST_SECONDS, 3 * max(age, same_seconds)))


def _changes(path: str, before: rec.Record | None, *, until: float, closely_until: float) -> bool:
    """Return as soon as the session is further than ``before`` the scheduler was asked; whether it is."""
    while _stage(rec.read(path)) == _stage(before):
        now = time.monotonic()
        if now >= until:
            return False
        time.sleep(_CLOSE_WATCH_SECONDS if now < closely_until else _WATCH_SECONDS)
    return True


def _stage(record: rec.Record | None) -> object:
    """How far it is: for what a record only says besides, nobody waits, and no scheduler has to be asked."""
    return (record.generation, record.job_id, record.pid, record.state) if record else None


def _withdraw(layout: Layout, name: str, scheduler: Scheduler, current: View) -> View:
    record = current.record
    if record is None:
        return current
    scheduler.cancel(record.job_id)
    reason = f"the job can never start ({record.reason}), so it was withdrawn"
    conclude(layout.session(name), record.generation, how="failed", reason=reason)
    return View(rec.read(layout.session(name).record))


def _settle(layout: Layout, name: str, current: View) -> View:
    """Keep in the record what the scheduler said of a job that ended without its supervisor's word."""
    record = current.record
    if record is not None and record.state == rec.ENDED:
        conclude(layout.session(name), record.generation, how=record.how, reason=record.reason)
        return View(rec.read(layout.session(name).record))
    return current

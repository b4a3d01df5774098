# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a session until it is ready or over."""

from __future__ import annotations

import time

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.observing import conclude, look
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

_WATCH_SECONDS = 0.1
_SETTLED_SECONDS = 2.0
_ENDING_SECONDS, _REQUEUE_SECONDS, _ENDING_PAUSE_SECONDS = 10.0, 45.0, 0.3
"""How long a job may end for: one that was told to, or killed, may be about to be put back into the queue."""
_QUERY_PAUSES = (0.3, 0.7, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


def wait(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> View:
    """Watch the session until it is ready or over, or has been in a new state for a moment, or ``seconds`` are over.

    The record is read ten times a second; the scheduler is asked ever more seldom, down to twice a minute.
    A job that can never start is cancelled, and its session ended with the scheduler's own reason.
    """
    deadline = time.monotonic() + seconds
    first = current = look(layout, name, scheduler)
    changed_at = time.monotonic()
    pauses = list(_QUERY_PAUSES)
    while not current.is_final and time.monotonic() < deadline:
        if current.hopeless:
            return _withdraw(layout, name, scheduler, current)
        if current.state not in (first.state, rec.UNKNOWN) and time.monotonic() - changed_at > _SETTLED_SECONDS:
            break
        pause = pauses.pop(0) if len(pauses) > 1 else pauses[0]
        _watch(layout, name, until=min(deadline, time.monotonic() + pause))
        previous, current = current, look(layout, name, scheduler)
        changed_at = changed_at if current.state == previous.state else time.monotonic()
    return _settle(layout, name, _past_ending(layout, name, scheduler, current))


def _past_ending(layout: Layout, name: str, scheduler: Scheduler, current: View) -> View:
    """A job that is ending may be put back into the queue; then its session has not ended."""
    deadline = time.monotonic() + (_REQUEUE_SECONDS if current.may_go_on else _ENDING_SECONDS)
    while current.state == rec.ENDED and current.ending and scheduler.requeues and time.monotonic() < deadline:
        time.sleep(_ENDING_PAUSE_SECONDS)
        current = look(layout, name, scheduler)
    return current


def _watch(layout: Layout, name: str, *, until: float) -> None:
    """Return as soon as the record changes."""
    path = layout.session(name).record
    before = rec.read(path)
    while time.monotonic() < until and rec.read(path) == before:
        time.sleep(_WATCH_SECONDS)


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

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job's claim to its session: one generation of the record, and at most one job that may write it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any, Callable, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import request as req
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import SCHEDULERS
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Inside, Surroundings, short_host

NOWHERE: dict[str, Any] = {
    "socket": "", "address": "", "port": 0, "login_socket": "", "login_port": 0, "tls_sha256": "", "step_host_key": "",
}
"""Where a record says that a server is that does not run."""
_UNUSED = {**NOWHERE, "idle_since": "", "idle_ends_at": ""}


class Claim:
    """The job ``environment`` describes, claiming generation ``generation`` of the session in ``directory``."""

    def __init__(self, directory: str, generation: int, environment: Mapping[str, str]) -> None:
        self.files = SessionFiles(os.path.abspath(directory))
        self.step_back = ""
        """Why the claim was not taken: one line for the log."""
        self.ends_at = 0.0
        """When the job's time is over, seconds since the epoch; 0 if that is not known."""
        self._generation = generation
        self._environment = environment
        self._inside = Inside()
        self._request: req.Request | None = None
        self._last: Record | None = None
        self._run: tuple[int, str] | None = None

    @property
    def job_id(self) -> str:
        """The job that claims, as the scheduler names it; empty before the claim."""
        return self._inside.job_id

    def take(self) -> Record | None:
        """The record, ``starting``, once it is ours; ``None``, with ``step_back``, if another claim is better."""
        self._last = rec.update(self.files.record, self._claimed)
        self._run = (self._last.pid, self._last.node) if self._last else None
        return self._last

    def update(self, change: Callable[[Record], Record]) -> Record | None:
        """Change the record as long as it is still ours; ``None`` if it is not. One that was lost is written anew."""

        def guarded(latest: Record | None) -> Record | None:
            latest = self._last if self._is_lost(latest) else latest
            return change(latest) if latest is not None and self._is_ours(latest) else None

        changed = rec.update(self.files.record, guarded)
        self._last = changed or self._last
        return changed

    def conclude(self, *, how: str, reason: str) -> Record | None:
        """Write the session's end."""
        return self.update(lambda record: replace(rec.ended(record, how=how, reason=reason), **_UNUSED, pid=0))

    def is_superseded(self) -> bool:
        """Whether a newer generation is known; a record that was lost or emptied meanwhile is written again."""
        try:
            latest = rec.read(self.files.record)
            if self._is_lost(latest):
                latest = self.update(lambda record: record)
        except (HpcJupyterError, OSError):
            return False
        return latest is not None and not self._is_ours(latest)

    def _is_lost(self, latest: Record | None) -> bool:
        """Torn, removed, made anew by a launch that found our job by its name and no record, or ended while we run.

        Somebody ends it who was told that there is no such job, by a scheduler that has lost its memory for a while.
        """
        if latest is None:
            return True
        if latest.state == rec.ENDED:
            return (latest.pid, latest.node) == self._run and latest.job_id == self.job_id
        return latest.job_id == self.job_id != "" and latest.state == rec.SUBMITTED and not latest.pid

    def _is_ours(self, latest: Record) -> bool:
        """Ours is the record that names our job, of whichever submit, or that waits for our generation's job.

        It must not name another run of the job: one that is started again elsewhere, because its node was cut off, goes
        on there until the node is back.
        """
        if self._run and latest.pid and (latest.pid, latest.node) != self._run:
            return False
        if latest.job_id and self.job_id:
            return latest.job_id == self.job_id
        return latest.generation == self._generation

    def _claimed(self, latest: Record | None) -> Record | None:
        self._request = _request(self.files.request)
        self._inside = self._told(latest) if latest else Inside()
        self.step_back = self._better_claim(latest)
        if self.step_back or latest is None:
            return None
        started = time.time()
        self.ends_at = self._end(started=started)
        return replace(
            latest, state=rec.STARTING, how="", reason="", job_id=latest.job_id or self.job_id, pid=os.getpid(),
            restarts=self._inside.restarts, node=self._inside.node or short_host(),
            started_at=rec.timestamp(started),
            ends_at=rec.timestamp(self.ends_at) if self.ends_at else "", **_UNUSED,
        )

    def _better_claim(self, latest: Record | None) -> str:
        if latest is None:
            return f"there is no record at {self.files.record}: nothing to start"
        if latest.generation != self._generation and latest.job_id != (self.job_id or None):
            return f"the session is at generation {latest.generation}: this job, for {self._generation}, steps back"
        if not self._is_ours(latest):
            return f"job {latest.job_id} already runs this session: job {self.job_id} steps back"
        if latest.state == rec.ENDED and not self._inside.restarts:
            # A job that the scheduler ended and starts again, on its own, goes on where it was.
            return f"the session has ended already ({latest.how}): nothing to start"
        return ""

    def _told(self, latest: Record) -> Inside:
        """What the scheduler tells; one that is not known here has other jobs than this."""
        known = SCHEDULERS.get(latest.scheduler)
        job = self._request.job if self._request else ""
        return known().inside(Surroundings(self._environment, latest.session, job)) if known else Inside()

    def _end(self, *, started: float) -> float:
        """The scheduler's word, else by the time that was asked for."""
        asked = self._request.resources.time if self._request else ""
        return self._inside.ends_at or (started + req.time_seconds(asked) if asked else 0.0)


def _request(path: str) -> req.Request | None:
    """The request; one that cannot be read is complained about where it is used."""
    try:
        with open(path, "rb") as stream:
            return req.from_json(stream.read())
    except (OSError, HpcJupyterError):
        return None

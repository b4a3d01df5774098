# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ends that a session comes to by the clock: told in time in its log, its record and its pages, and then kept."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from typing import Any, Callable

from ansible_collections.hpc.jupyter.plugins.module_utils import clock, page, page_notice
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.claim import Claim
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.offered import Offered
from ansible_collections.hpc.jupyter.plugins.module_utils.race import UNCLAIMED, Unclaimed
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import SCHEDULERS
from ansible_collections.hpc.jupyter.plugins.module_utils.words import duration

TIME_LIMIT = "time limit"
IDLE = "idle"


@dataclass(frozen=True)
class End:
    """How a session ended, in the record's words."""

    how: str
    reason: str


class Endings:
    """One session's clock; ``config`` is its directory of ``JUPYTER_CONFIG_PATH``, ``say`` writes into the log."""

    def __init__(self, claim: Claim, record: Record, request: Request, *, config: str, say: Callable[[str], object],
                 ) -> None:
        self._claim = claim
        self._request = request
        self._config = config
        self._say = say
        self._own = not SCHEDULERS[record.scheduler].keeps_time
        job = claim.job_id or record.job_id
        self._walltime = clock.Walltime(
            claim.ends_at, minutes=request.warn_minutes, environment=os.environ,
            argv=[] if self._own or not job else clock.question(job),
        )
        self._idleness = clock.Idleness(request.idle_seconds)
        self._unclaimed = Unclaimed(claim.files, request.unclaimed_seconds if request.race else 0)
        self._prepare_page()

    @property
    def ends_at(self) -> float:
        """When the time is over, 0 if that is not known."""
        return self._walltime.ends_at

    def begin(self, offered: Offered) -> None:
        """Ask the server for the first time; one that does not know us warns nobody."""
        self._unclaimed.begin()
        if not self._ask(offered):
            self._say("no warnings in the page: Jupyter has not loaded the extension for them; see its own words above")

    def look(self, offered: Offered) -> End | None:
        """Ask who has to be asked, tell what has changed; the end that has come, if one has."""
        if self._walltime.look():
            self._tell_ends_at()
        minutes = self._walltime.warning()
        if minutes:
            left = 60 * round((self.ends_at - time.time()) / 60)
            self._say(f"warning: the session's time is over in {duration(left)}")
        if self._idleness.is_time():
            self._ask(offered)
        if self._idleness.is_over:
            return End(IDLE, f"nobody used it for {self._request.idle_seconds} seconds")
        if self._unclaimed.is_over():
            seconds = self._request.unclaimed_seconds
            return End(UNCLAIMED, f"nobody came for it within {duration(seconds)}, and others were submitted beside it")
        if self._own and self.ends_at and time.time() > self.ends_at:
            return End(TIME_LIMIT, f"the session's time of {self._request.resources.time} is over")
        return None

    def _ask(self, offered: Offered) -> bool:
        told = offered.ask(page_notice.PATH)
        found = clock.used(told.body) if told is not None and told.status == 200 else None
        if found is not None:
            self._unclaimed.use(found.ago)
        if self._idleness.take(found):
            self._update(
                idle_since=_timestamp(self._idleness.since), idle_ends_at=_timestamp(self._idleness.ends_at),
            )
        return found is not None

    def _tell_ends_at(self) -> None:
        if self._claim.ends_at:
            self._say(f"the end of the session's time has changed to {rec.timestamp(self.ends_at)}")
        self._claim.ends_at = self.ends_at
        self._update(ends_at=rec.timestamp(self.ends_at))
        with contextlib.suppress(OSError):
            self._write_times()

    def _prepare_page(self) -> None:
        """The warnings in the page are no reason not to start."""
        try:
            page.install(self._config)
            self._write_times()
        except OSError as error:
            self._say(f"no warnings in the page: {error}")

    def _write_times(self) -> None:
        page.write_times(self._config, ends_at=self.ends_at, idle_seconds=self._request.idle_seconds,
                         warn_minutes=self._request.warn_minutes)

    def _update(self, **known: Any) -> None:
        """A record that cannot be written now says it the next time."""
        with contextlib.suppress(HpcJupyterError, OSError):
            self._claim.update(lambda record: replace(record, **known))


def _timestamp(moment: float) -> str:
    return rec.timestamp(moment) if moment else ""

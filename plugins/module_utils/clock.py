# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a session lasts: when its job's time is over, since when nobody uses it, and when to warn.

Moments are seconds since the epoch by the node's clock, 0 where not known.
"""

from __future__ import annotations

import calendar
import json
import sys
import time
from dataclasses import dataclass
from typing import Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.logged import LoggedChild

ASK_SECONDS = 300.0
"""How often the scheduler is asked whether a job's time is still what it was."""
BEFORE_WARNING_SECONDS = 30.0
"""It is asked once more this long before a warning."""
ANSWER_SECONDS = 60.0
USE_SECONDS = 60.0
"""How often the server is asked when it was used last."""
_NEAR_SECONDS = 1.0
_UNUSED_SECONDS = 300.0
"""From when on a session is called unused; people read and think."""
_SAME_SECONDS = 5.0


@dataclass(frozen=True)
class Used:
    """What the server says of its use: ``ago`` seconds, and in how many seconds that ends the session, if it does."""

    ago: float
    ends_in: float | None


def seconds(text: str) -> float:
    """A record's UTC time as seconds since the epoch; 0 for anything else."""
    try:
        return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def due(ends_at: float, *, minutes: Sequence[int], now: float) -> int:
    """The last warning that is due now, in minutes before the end; 0 for none, or where the end is not known."""
    left = ends_at - now
    return min((each for each in minutes if left <= each * 60), default=0) if ends_at and left > 0 else 0


def next_question(ends_at: float, *, minutes: Sequence[int], now: float) -> float:
    """When to ask the scheduler again: every few minutes, and just before a warning."""
    before = [ends_at - each * 60 - BEFORE_WARNING_SECONDS for each in minutes] if ends_at else []
    return min([now + ASK_SECONDS, *(at for at in before if at > now)])


def used(body: bytes) -> Used | None:
    """What the session's extension answers; ``None`` for anything else."""
    try:
        told = json.loads(body.decode("utf-8"))
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(told.get("used_ago"), (int, float)):
        return None
    ends_in = told.get("idle_in")
    return Used(float(told["used_ago"]), float(ends_in) if isinstance(ends_in, (int, float)) else None)


def is_same(one: float, other: float) -> bool:
    """Whether two moments differ by nothing but by how long the questions took."""
    return abs(one - other) < _SAME_SECONDS


class Walltime:
    """When the job's time is over, as the scheduler says now: a job's time can be changed while it runs.

    The scheduler is asked by ``argv``, a program of its own: one that hangs holds nothing up. It prints the end as
    records write it, on its last line. Without ``argv`` nobody is asked.
    """

    def __init__(
        self, ends_at: float, *, minutes: Sequence[int], argv: Sequence[str], environment: Mapping[str, str],
    ) -> None:
        self.ends_at = ends_at
        self._minutes = tuple(minutes)
        self._argv = list(argv)
        self._environment = environment
        self._child: LoggedChild | None = None
        self._asked_at = time.time()
        # Not every release of a scheduler tells the job itself.
        self._ask_at = next_question(ends_at, minutes=minutes, now=self._asked_at) if ends_at else self._asked_at
        self._warned = due(ends_at, minutes=minutes, now=self._asked_at)  # who asks for five minutes knows that

    def look(self) -> bool:
        """Ask when it is time to, and take an answer in; whether the end is another one now."""
        now = time.time()
        if self._child is None:
            if self._argv and now >= self._ask_at:
                self._ask(now)
            return False
        if self._child.poll() is None:
            if now - self._asked_at > ANSWER_SECONDS:
                self._child.kill()
            return False
        said, self._child = self._child.lines(), None
        self._ask_at = next_question(self.ends_at, minutes=self._minutes, now=now)
        return self._take(seconds(said[-1]) if said else 0.0)

    def warning(self) -> int:
        """A warning that has become due: how many minutes before the end; 0 for none. Each is given once."""
        now_due = due(self.ends_at, minutes=self._minutes, now=time.time())
        if now_due == self._warned:
            return 0
        self._warned = now_due
        return now_due

    def _ask(self, now: float) -> None:
        """A node without room for one more process is asked later."""
        self._asked_at = now
        try:
            self._child = LoggedChild(self._argv, environment=self._environment, directory="/", echo=False)
        except OSError:
            self._ask_at = next_question(self.ends_at, minutes=self._minutes, now=now)

    def _take(self, ends_at: float) -> bool:
        if not ends_at or is_same(ends_at, self.ends_at):
            return False
        now = time.time()
        if not self.ends_at:
            self._warned = due(ends_at, minutes=self._minutes, now=now)
        self.ends_at = ends_at
        self._ask_at = next_question(ends_at, minutes=self._minutes, now=now)
        return True


class Idleness:
    """Since when nobody has used the session, as its server says."""

    def __init__(self, idle_seconds: int) -> None:
        self.since = 0.0
        """0 while somebody uses it, or where nobody can say."""
        self.ends_at = 0.0
        self.is_over = False
        self._idle_seconds = idle_seconds
        self._unused_seconds = min(_UNUSED_SECONDS, idle_seconds / 2)
        self._ask_at = time.monotonic() + self._pause(None)

    def is_time(self) -> bool:
        """Whether to ask the server now."""
        return time.monotonic() >= self._ask_at

    def take(self, found: Used | None) -> bool:
        """Take the server's answer in; whether the record should say something else now."""
        self._ask_at = time.monotonic() + self._pause(found)
        if found is None:
            return False
        now = time.time()
        self.is_over = found.ends_in is not None and found.ends_in <= 0
        unused = found.ends_in is not None and found.ago >= self._unused_seconds
        since = now - found.ago if unused else 0.0
        ends_at = now + found.ends_in if unused and found.ends_in is not None else 0.0
        if is_same(since, self.since) and is_same(ends_at, self.ends_at):
            return False
        self.since, self.ends_at = since, ends_at
        return True

    def _pause(self, found: Used | None) -> float:
        """Until it is called unused, and then until the limit, where that is nearer than the next look."""
        near = [USE_SECONDS]
        if found is not None and found.ends_in is not None:
            near += [left for left in (self._unused_seconds - found.ago, found.ends_in) if left > 0]
        elif self._idle_seconds:
            near.append(self._idle_seconds / 2)
        return max(_NEAR_SECONDS, min(near) + _NEAR_SECONDS / 10)


def question(job_id: str) -> list[str]:
    """What asks the scheduler for the end of a job: this very program, as another process."""
    return [sys.executable, sys.argv[0], "ends", job_id]

"""How long a session that is connected still lasts: in the terminal's live line, and as warnings before the end.

The session itself is asked, through the connection that there is: no cluster is bothered, and the answer is in seconds
from now, so that nobody's clock has to be right.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from ansible_collections.hpc.jupyter.plugins.module_utils import clock, words
from ansible_collections.hpc.jupyter.plugins.module_utils.page_notice import PATH
from ansible_collections.hpc.jupyter.plugins.module_utils.record import timestamp
from ansible_collections.hpc.jupyter.plugins.module_utils.request import WARN_MINUTES

from hpc_jupyter.connection import Link
from hpc_jupyter.probe import fetch
from hpc_jupyter.progress import Standing

_ASK_SECONDS = 15.0
_JOIN_SECONDS = 0.5
_CHANGED_SECONDS = 30.0
_UNUSED_SECONDS = 300.0


@dataclass(frozen=True)
class Times:
    """Moments by this machine's clock, 0 where not known: the end of the time, since when it is unused, and to when."""

    ends_at: float = 0.0
    warn_minutes: tuple[int, ...] = WARN_MINUTES
    unused_since: float = 0.0
    idle_ends_at: float = 0.0
    idle_warn_minutes: tuple[int, ...] = ()


def times(told: Any, *, now: float) -> Times | None:
    """What a session has told; ``None`` for anything else."""
    if not isinstance(told, Mapping) or "ends_in" not in told:
        return None
    ago, idle_in = _number(told.get("used_ago")), told.get("idle_in")
    return Times(
        ends_at=_moment(told.get("ends_in"), now),
        warn_minutes=_minutes(told.get("warn_minutes")),
        unused_since=now - ago if ago >= _UNUSED_SECONDS and isinstance(idle_in, (int, float)) else 0.0,
        idle_ends_at=_moment(idle_in, now),
        idle_warn_minutes=_minutes(told.get("idle_warn_minutes")),
    )


def standing(node: str, known: Times) -> str:
    """One line on how things stand."""
    parts = [f"Connected to {node}"]
    if known.ends_at:
        parts.append(words.time_left(timestamp(known.ends_at)))
    unused = words.idle(_text(known.unused_since), _text(known.idle_ends_at)) if known.unused_since else ""
    return ", ".join(parts) + (f"; {unused}" if unused else "")


class Warnings:
    """What is said of a session's end, each warning once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._given: dict[str, int] = {}
        self._ends_at = 0.0

    def lines(self, known: Times, *, now: float) -> list[str]:
        """What is new."""
        said = []
        if self._ends_at and known.ends_at and abs(known.ends_at - self._ends_at) > _CHANGED_SECONDS:
            said.append(f"The time of {self._name} has changed: {words.time_left(timestamp(known.ends_at))}")
        self._ends_at = known.ends_at
        if self._is_new("time", clock.due(known.ends_at, minutes=known.warn_minutes, now=now)):
            said.append(f"Warning: {self._name} ends {_when(known.ends_at, now)}: save your work")
        if self._is_new("idle", clock.due(known.idle_ends_at, minutes=known.idle_warn_minutes, now=now)):
            said.append(f"Warning: nobody uses {self._name}, so it ends {_when(known.idle_ends_at, now)}")
        return said

    def _is_new(self, kind: str, minutes: int) -> bool:
        before, self._given[kind] = self._given.get(kind, 0), minutes
        return bool(minutes) and minutes != before


class Countdown:
    """Keeps asking while the connection is held; without an answer it shows nothing rather than what was."""

    def __init__(self, link: Callable[[], Link], progress: Standing) -> None:
        record = link().record
        self._link = link
        self._progress = progress
        self._warnings = Warnings(f"session {record.session} of {record.account}")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and take the line away."""
        self._over.set()
        self._thread.join(timeout=_JOIN_SECONDS)  # a question that nobody answers ends with the process
        self._progress.done()

    def _run(self) -> None:
        while not self._over.is_set():
            self._look()
            self._over.wait(_ASK_SECONDS)

    def _look(self) -> None:
        now = time.time()
        known = self._asked(now)
        if known is None or self._over.is_set():
            self._progress.done()
            return
        for line in self._warnings.lines(known, now=now):
            self._progress.say(line)
        self._progress.stand(standing(self._link().record.node, known))

    def _asked(self, now: float) -> Times | None:
        link = self._link()
        try:
            if link.forward is None or not link.forward.has_port:  # while it is mended, anybody may listen there
                return None
            status, body = fetch(link.route.url, PATH, link.attached.token, sha256=link.route.sha256)
            # A session that was started without the extension, or before there was one, has its record.
            return times(json.loads(body), now=now) if status == HTTPStatus.OK else self._recorded(status)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None

    def _recorded(self, status: int) -> Times | None:
        return Times(clock.seconds(self._link().record.ends_at)) if status == HTTPStatus.NOT_FOUND else None


def _when(moment: float, now: float) -> str:
    minutes = round((moment - now) / 60)
    left = words.duration(60 * minutes) if minutes else "less than a minute"
    return f"at {words.local_time(timestamp(moment))} (in {left})"


def _text(moment: float) -> str:
    return timestamp(moment) if moment else ""


def _moment(seconds: object, now: float) -> float:
    return now + seconds if isinstance(seconds, (int, float)) else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _minutes(values: object) -> tuple[int, ...]:
    return tuple(each for each in values if isinstance(each, int)) if isinstance(values, Sequence) else ()

"""What a person sees while they wait: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

_REASONS = {
    "Resources": "no free nodes yet",
    "Priority": "other jobs come first",
    "Dependency": "waits for another job",
    "BeginTime": "its start time has not come",
    "Reservation": "waits for its reservation",
    "Licenses": "waits for a licence",
    "JobHeldUser": "held by its owner",
    "JobHeldAdmin": "held by an administrator",
    "None": "the scheduler has not looked at it yet",
}


class Progress(Protocol):
    """How progress is shown."""

    def say(self, text: str) -> None:
        """Note something that has happened."""

    def now(self, text: str) -> None:
        """Say what is going on at the moment; replaced by whatever comes next."""

    def tick(self) -> None:
        """Time has passed."""

    def done(self) -> None:
        """Nothing is going on any more."""


class Plain:
    """One line for everything, without repeating itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def say(self, text: str) -> None:
        """Write a line."""
        if text != self._last:
            self._last = text
            print(text, file=self._stream, flush=True)

    def now(self, text: str) -> None:
        """Write a line, once."""
        self.say(text)

    def tick(self) -> None:
        """Nothing to do."""

    def done(self) -> None:
        """Nothing to do."""


class Live:
    """A spinner with what is going on; what has happened stays above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive
        from rich.spinner import Spinner

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._spinner = Spinner("dots")
        self._live = RichLive(self._spinner, console=self._console, auto_refresh=False, transient=True)
        self._text = ""

    def say(self, text: str) -> None:
        """Write a line above the live one."""
        self._console.print(text, soft_wrap=True)

    def now(self, text: str) -> None:
        """Change the live line."""
        if text != self._text:
            self._text = text
            self._spinner.update(text=text)
            self._live.start()
            self._live.refresh()

    def tick(self) -> None:
        """Turn the spinner."""
        if self._live.is_started:
            self._live.refresh()

    def done(self) -> None:
        """Take the live line away."""
        self._text = ""
        self._live.stop()


def choose(stream: TextIO | None = None) -> Progress:
    """Live on a terminal that can, plain otherwise; always on standard error, so that output stays clean."""
    target = stream or sys.stderr
    can = target.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Live(target) if can else Plain(target)


def describe(session: Mapping[str, Any]) -> str:
    """One line on where a session stands, from a record as answers give it."""
    state, job = str(session.get("state", "")), _job(session)
    if state == "queued":
        return f"{job} waits in the queue{_why(session)}{_when(session)}"
    if state in ("intended", "submitted"):
        return f"Submitted{' as ' + job[0].lower() + job[1:] if session.get('job_id') else ''}"
    if state == "starting":
        return f"{job} started{_on(session)}; Jupyter is starting"
    if state == "ready":
        return f"Ready{_on(session)}"
    if state == "unknown":
        return f"The scheduler cannot be asked: {session.get('reason', '')}"
    return f"Session {session.get('session', '')} has ended ({_end(session)})"


def _job(session: Mapping[str, Any]) -> str:
    return f"Job {session['job_id']}" if session.get("job_id") else "The job"


def _on(session: Mapping[str, Any]) -> str:
    return f" on {session['node']}" if session.get("node") else ""


def _why(session: Mapping[str, Any]) -> str:
    reason = str(session.get("reason", ""))
    if not reason:
        return ""
    return f": {_REASONS[reason]} ({reason})" if reason in _REASONS else f": {reason}"


def _when(session: Mapping[str, Any]) -> str:
    return f"; expected to start at {local_time(session['starts_at'])}" if session.get("starts_at") else ""


def _end(session: Mapping[str, Any]) -> str:
    return ": ".join(str(session[key]) for key in ("how", "reason") if session.get(key)) or "no reason given"


def local_time(text: str) -> str:
    """A record's UTC time as this machine's clock shows it; anything else as it is."""
    from datetime import UTC, datetime

    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).astimezone()
    except ValueError:
        return text
    return moment.strftime("%H:%M" if moment.date() == datetime.now().astimezone().date() else "%a %d %b %H:%M")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a session stands, in one line for people: the same words on the account, in a play and on the laptop."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Mapping

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
"""Slurm's most frequent reasons of a pending job."""


def line(session: Mapping[str, Any]) -> str:
    """One line that names a session and says where it stands."""
    return f"{session['account']} {session['session']}: {describe(session)}"


def check_line(check: Mapping[str, str]) -> str:
    """One line for a check of the doctor's, with what to do where something is not well."""
    remedy = f". {check['remedy']}" if check["remedy"] else ""
    return f"{check['state']:<4} {check['check']:<11} {check['text']}{remedy}"


def leftover_line(found: Mapping[str, Any]) -> str:
    """A leftover in one line: what it is, where, since when."""
    since = f", since {local_time(str(found['since']))}" if found.get("since") else ""
    host = f" on {found['host']}" if found.get("host") else ""
    where = f"{found['where']}{host}: " if found["kind"] != "job" else ""
    return f"{where}{found['what']}{since}"


def describe(session: Mapping[str, Any]) -> str:
    """Where a session stands, from a record as answers give it."""
    state, job = str(session.get("state", "")), _job(session)
    if state == "queued":
        return f"{job} waits in the queue{_why(session)}{_when(session)}"
    if state in ("intended", "submitted"):
        return f"Submitted{_as_job(session)}"
    if state == "starting":
        return f"{job} started{_on(session)}; Jupyter is starting"
    if state == "ready":
        return f"Ready{_on(session)}{_as_job(session)}{_left(session)}{_idle(session)}{_race(session)}"
    if state == "unknown":
        return f"Cannot tell now: {session.get('reason', '')}"
    return f"Session {session.get('session', '')} has ended ({_end(session)})"


def local_time(text: str) -> str:
    """A record's UTC time as this machine's clock shows it; anything else as it is."""
    found = _moment(text)
    if found is None:
        return text
    moment = found.astimezone()
    return moment.strftime("%H:%M" if moment.date() == datetime.now().astimezone().date() else "%a %d %b %H:%M")


def seconds_left(text: str) -> float | None:
    """How long it is, by this machine's clock, until a record's UTC time; ``None`` if it is none."""
    found = _moment(text)
    return None if found is None else (found - datetime.now(timezone.utc)).total_seconds()


def duration(seconds: float) -> str:
    """How long something lasts, in whole minutes."""
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    parts = [f"{hours} h"] if hours else []
    parts += [f"{minutes % 60} min"] if minutes % 60 else []
    return " ".join(parts) or "less than a minute"


def time_left(ends_at: str) -> str:
    """How much of a job's time is left, and when it is over; empty where that is not known."""
    left = seconds_left(ends_at)
    if left is None:
        return f"until {ends_at}" if ends_at else ""
    return f"{duration(left)} left (until {local_time(ends_at)})" if left > 0 else "its time is over"


def idle(since: str, ends_at: str) -> str:
    """Since when nobody has used a session, and when that ends it; empty for one that is in use."""
    if not since:
        return ""
    ends = f", which ends it at {local_time(ends_at)}" if ends_at else ""
    return f"not used since {local_time(since)}{ends}"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _job(session: Mapping[str, Any]) -> str:
    return f"Job {session['job_id']}" if session.get("job_id") else "The job"


def _as_job(session: Mapping[str, Any]) -> str:
    return f" as job {session['job_id']}" if session.get("job_id") else ""


def _on(session: Mapping[str, Any]) -> str:
    return f" on {session['node']}" if session.get("node") else ""


def _left(session: Mapping[str, Any]) -> str:
    left = time_left(str(session.get("ends_at") or ""))
    return f", {left}" if left else ""


def _idle(session: Mapping[str, Any]) -> str:
    unused = idle(str(session.get("idle_since") or ""), str(session.get("idle_ends_at") or ""))
    return f"; {unused}" if unused else ""


def _race(session: Mapping[str, Any]) -> str:
    return "; nobody has come for it yet, and if nobody does it ends soon" if session.get("race") else ""


def _why(session: Mapping[str, Any]) -> str:
    reason = str(session.get("reason", ""))
    if not reason:
        return ""
    return f": {_REASONS[reason]} ({reason})" if reason in _REASONS else f": {reason}"


def _when(session: Mapping[str, Any]) -> str:
    return f"; expected to start at {local_time(session['starts_at'])}" if session.get("starts_at") else ""


def _end(session: Mapping[str, Any]) -> str:
    return ": ".join(str(session[key]) for key in ("how", "reason") if session.get(key)) or "no reason given"

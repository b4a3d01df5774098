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
        return f"Ready{_on(session)}{_as_job(session)}{_until(session)}"
    if state == "unknown":
        return f"Cannot tell now: {session.get('reason', '')}"
    return f"Session {session.get('session', '')} has ended ({_end(session)})"


def local_time(text: str) -> str:
    """A record's UTC time as this machine's clock shows it; anything else as it is."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).astimezone()
    except ValueError:
        return text
    return moment.strftime("%H:%M" if moment.date() == datetime.now().astimezone().date() else "%a %d %b %H:%M")


def _job(session: Mapping[str, Any]) -> str:
    return f"Job {session['job_id']}" if session.get("job_id") else "The job"


def _as_job(session: Mapping[str, Any]) -> str:
    return f" as job {session['job_id']}" if session.get("job_id") else ""


def _on(session: Mapping[str, Any]) -> str:
    return f" on {session['node']}" if session.get("node") else ""


def _until(session: Mapping[str, Any]) -> str:
    return f", until {local_time(session['ends_at'])}" if session.get("ends_at") else ""


def _why(session: Mapping[str, Any]) -> str:
    reason = str(session.get("reason", ""))
    if not reason:
        return ""
    return f": {_REASONS[reason]} ({reason})" if reason in _REASONS else f": {reason}"


def _when(session: Mapping[str, Any]) -> str:
    return f"; expected to start at {local_time(session['starts_at'])}" if session.get("starts_at") else ""


def _end(session: Mapping[str, Any]) -> str:
    return ": ".join(str(session[key]) for key in ("how", "reason") if session.get(key)) or "no reason given"

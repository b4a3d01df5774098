"""What Ansible tells while a play runs, and what came of it for every account."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONNECT = "hpc.jupyter.connect"
"""The action whose failure means that the account was not reached."""

_NOISE_LINES = 200


@dataclass(frozen=True)
class Step:
    """One event of a running play; ``kind`` is ``start`` (of a task), ``ok``, ``retry``, ``failed`` or ``tick``."""

    kind: str
    account: str = ""
    task: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HostResult:
    """What came of one account: the last session named, all sessions seen; why it failed, how, and in which action.

    ``told`` is what modules say besides, by name: see ``_TOLD``.
    """

    account: str
    session: Mapping[str, Any] = field(default_factory=dict)
    sessions: tuple[Mapping[str, Any], ...] = ()
    changed: bool = False
    failed: bool = False
    unreachable: bool = False
    message: str = ""
    log_tail: tuple[str, ...] = ()
    failed_action: str = ""
    kind: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlayResult:
    """How a play ended; ``message`` is the first failure's, or Ansible's own when it did not get that far."""

    succeeded: bool
    hosts: Mapping[str, HostResult]
    message: str = ""
    interrupted: bool = False


def nobody(_step: Step) -> None:
    """Nobody watches."""


class Reader:
    """Turns Ansible's events into steps and, at the end, into a result. ``watch`` sees the steps."""

    def __init__(self, *, verbosity: int) -> None:
        self.watch: Callable[[Step], None] = nobody
        self._verbosity = verbosity
        self._unseen: list[str] | None = []
        self._hosts: dict[str, HostResult] = {}
        self._noise: list[str] = []

    def show(self, watch: Callable[[Step], None]) -> None:
        """From now on somebody watches, and may be shown what Ansible has printed so far."""
        self.watch = watch
        unseen, self._unseen = self._unseen or [], None
        for text in unseen:
            print(text, file=sys.stderr)

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event in."""
        data = event.get("event_data") or {}
        self._note_output(event)
        kind = _KINDS.get(event.get("event", ""))
        if kind and not data.get("ignore_errors"):
            step = Step(kind, account=data.get("host", ""), task=data.get("task", ""), result=_answer(data))
            action = str(data.get("resolved_action") or data.get("task_action") or "")
            self._keep(step, action=action, unreachable=event["event"] == "runner_on_unreachable")
            self.watch(step)

    def _note_output(self, event: Mapping[str, Any]) -> None:
        text = event.get("stdout") or ""
        if event.get("event") == "verbose" and len(self._noise) < _NOISE_LINES:
            self._noise += text.splitlines()
        if not (text and self._verbosity):
            return
        if self._unseen is None:
            print(text, file=sys.stderr)
        else:
            self._unseen.append(text)

    def _keep(self, step: Step, *, action: str, unreachable: bool) -> None:
        if step.kind not in ("ok", "failed"):
            return
        known = self._hosts.get(step.account, HostResult(step.account))
        result, failed = step.result, step.kind == "failed"
        self._hosts[step.account] = HostResult(
            account=step.account,
            session=_session(result) or known.session,
            sessions=tuple(result.get("sessions", known.sessions)) if "sessions" in result else known.sessions,
            changed=known.changed or bool(result.get("changed")),
            failed=known.failed or failed,
            unreachable=known.unreachable or unreachable or (failed and action == CONNECT),
            message=_message(result) if failed else known.message,
            log_tail=tuple(result.get("log_tail", ())) if failed else known.log_tail,
            failed_action=action if failed else known.failed_action,
            kind=str(result.get("kind", "")) if failed else known.kind,
            told={**known.told, **{key: result[key] for key in _TOLD if key in result}},
        )

    def result(self, *, succeeded: bool, interrupted: bool) -> PlayResult:
        """What came of the play."""
        messages = [host.message for host in self._hosts.values() if host.failed and host.message]
        message = "" if succeeded else (messages[0] if messages else _first_error(self._noise))
        return PlayResult(succeeded, dict(self._hosts), message=message, interrupted=interrupted)


_TOLD = ("leftovers", "untold", "removed", "stopped", "asking", "notes", "checks")
_KINDS = {
    "playbook_on_task_start": "start",
    "runner_on_ok": "ok",
    "runner_retry": "retry",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "failed",
}


def _answer(data: Mapping[str, Any]) -> Mapping[str, Any]:
    result = data.get("res")
    return result if isinstance(result, Mapping) else {}


def _session(result: Mapping[str, Any]) -> Mapping[str, Any]:
    session = result.get("session")
    return session if isinstance(session, Mapping) and "state" in session else {}


def _message(result: Mapping[str, Any]) -> str:
    items = [item for item in result.get("results", ()) if isinstance(item, Mapping) and item.get("failed")]
    return str((items[0] if items else result).get("msg") or "Ansible gave no reason").strip()


def _first_error(lines: Sequence[str]) -> str:
    """The paragraph in which Ansible says why it did not start."""
    for number, line in enumerate(lines):
        if line.startswith(("[ERROR]", "ERROR!")):
            paragraph = " ".join(text.strip() for text in lines[number : number + 4] if text.strip())
            return f"Ansible could not start: {paragraph.removeprefix('[ERROR]:').removeprefix('ERROR!').strip()}"
    return f"Ansible failed and gave no reason{': ' + lines[-1] if lines else ''}"

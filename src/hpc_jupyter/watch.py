"""From the steps of a running play to what a person sees, and from its end to a result or an error."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe

from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached, Failure, Unreachable
from hpc_jupyter.events import HostResult, PlayResult, Step
from hpc_jupyter.exits import Exit
from hpc_jupyter.play import Play, Started, clean_up_after_the_dead
from hpc_jupyter.progress import Progress

_PASSING = ("queued", "unknown")
_PATIENCE_SECONDS = 2.0


class Watcher:
    """Shows a session's states as they come, and the names of tasks that take their time."""

    def __init__(
        self, progress: Progress, *, show_tasks: bool = False, also: Callable[[Step], None] = lambda _step: None
    ) -> None:
        self._progress = progress
        self._also = also
        self._show_tasks = show_tasks
        self._task = ""
        self._since = 0.0
        self.session: Mapping[str, Any] = {}

    def __call__(self, step: Step) -> None:
        """Take one step in."""
        if step.kind == "tick":
            self._tick()
        elif step.kind == "start":
            self._task, self._since = step.task, time.monotonic()
        elif isinstance(step.result.get("session"), Mapping) and step.result["session"].get("state"):
            self._note(step.result["session"])
        self._also(step)

    def _tick(self) -> None:
        if self._show_tasks and self._task and time.monotonic() - self._since > _PATIENCE_SECONDS:
            self._progress.now(self._task)
            self._task = ""
        self._progress.tick()

    def _note(self, session: Mapping[str, Any]) -> None:
        before, self.session = self.session, session
        if session["state"] in _PASSING:
            self._progress.now(describe(session))
        elif session["state"] != "ended" and describe(session) != describe(before or {"state": "ended"}):
            self._progress.say(describe(session))


def play(
    context: Context,
    playbook: str,
    account: str,
    variables: Mapping[str, Any],
    *,
    secrets: Mapping[str, str] | None = None,
    show_tasks: bool = False,
) -> HostResult:
    """Run a playbook for one account, showing its progress; raises what came of it if it did not succeed."""
    with start(context, playbook, account, variables, secrets=secrets) as started:
        return finish(context, started, account, show_tasks=show_tasks)


def start(
    context: Context, playbook: str, account: str, variables: Mapping[str, Any], *,
    secrets: Mapping[str, str] | None = None,
) -> Started:
    """A playbook for one account, which does nothing yet.

    What killed runs have left goes first; ``status`` and ``clean --dry-run``, which only look, run theirs without that.
    """
    clean_up_after_the_dead()
    return Started(
        Play(
            playbook,
            inventory=context.sources,
            accounts=[account],
            variables=variables,
            secrets=secrets or {},
            verbosity=context.verbosity,
        )
    )


def finish(
    context: Context, started: Started, account: str, *, show_tasks: bool = False,
    also: Callable[[Step], None] = lambda _step: None,
) -> HostResult:
    """Let a play that was started do its work, as ``play``; ``also`` sees every step, too."""
    watcher = Watcher(context.progress, show_tasks=show_tasks, also=also)
    try:
        result = started.go_on(watcher)
    finally:
        context.progress.done()
    if result.interrupted:
        raise Detached(_left(context, account, watcher.session))
    check(result, account)
    return result.hosts.get(account, HostResult(account))


def check(result: PlayResult, account: str) -> None:
    """Raise what stopped a play, with the failed task's own words."""
    if result.succeeded:
        return
    host = result.hosts.get(account, HostResult(account))
    message = result.message
    log = tuple(line for line in host.log_tail if line not in message)
    detail = ("The last lines of its log:", *log) if log else ()
    if host.unreachable:
        raise Unreachable(message)
    raise Failure(message, detail=detail, code=_code(host))


_CODES = {
    "bad_input": Exit.BAD_INPUT,
    "busy": Exit.BUSY,
    "refused": Exit.SESSION_FAILED,
    "failed": Exit.SESSION_FAILED,
    "no_session": Exit.NO_SESSION,
}
"""What the collection's modules call their failures; all others are ``Exit.FAILED``."""


def _code(host: HostResult) -> Exit:
    """A scheduler that cannot be asked says nothing against a session that was seen: that one is waited for."""
    if host.kind == "unavailable" and host.session:
        return Exit.WAITING
    return _CODES.get(host.kind, Exit.FAILED)


def _left(context: Context, account: str, session: Mapping[str, Any]) -> str:
    hints = context.hints(account, str(session.get("session") or "default"))
    job = f"job {session['job_id']}" if session.get("job_id") else ""
    if not job:
        return f"interrupted. If a job was submitted already, it stays; see: {hints.command('status')}"
    return f"interrupted; {job} stays. Come back: {hints.command('launch')}\nStop it: {hints.command('stop')}"

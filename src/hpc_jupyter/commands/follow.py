"""``status`` again and again: on the terminal, as a page, and with a word to whoever waits for a session."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.words import line
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import REFUSALS, TURNED_AWAY
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, state_directory

from hpc_jupyter import render, status_page
from hpc_jupyter.commands import status
from hpc_jupyter.context import Context
from hpc_jupyter.exits import Exit
from hpc_jupyter.notify import Notifier
from hpc_jupyter.progress import can_replace
from hpc_jupyter.results import AccountStatus, Status

Sessions = dict[tuple[str, str], Mapping[str, Any]]
"""Sessions as answers give them, by account and name."""

_REST_SECONDS = 300.0
"""How long a host is left alone that has closed the door: it has too many guests, or punishes earlier ones."""
_WAITING = (rec.INTENDED, rec.SUBMITTED, rec.QUEUED, rec.STARTING, rec.UNKNOWN)


@dataclass(frozen=True)
class Following:
    """Until when status is followed: Ctrl-C, or with a ``notifier`` alone until nothing waits; ``html`` is a page.

    ``everybody`` means all accounts of the inventory.
    """

    everybody: bool = False
    watch: bool = False
    every_seconds: int = 30
    html: str = ""
    notifier: Notifier | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any], names: Sequence[str]) -> Following:
        """What the options say beside the ``names`` of accounts; raises ``BadInput`` before anybody is asked."""
        if values["everybody"] and names:
            raise BadInput("--all", f"means every account, and {names[0]} is one", hint="Leave one of them out")
        notifier = Notifier.command(values["notify_command"]) if values["notify_command"] else None
        if values["notify"] and notifier is None:
            notifier = Notifier.desktop()
        html = status_page.check(values["html"]) if values["html"] else ""
        return cls(values["everybody"], values["watch"], values["every"], html, notifier)

    @property
    def repeats(self) -> bool:
        """Whether to ask more than once."""
        return self.watch or self.notifier is not None


def run(context: Context, names: Sequence[str], following: Following) -> Exit:
    """Show status as often as is wanted; Ctrl-C is how watching ends."""
    refusals = _Refusals()
    seen = _ask(context, names, following, refusals, interactive=True)
    if not following.repeats:
        return render.show(seen, as_json=context.as_json)
    with contextlib.suppress(KeyboardInterrupt), _screen(context, following) as show:
        show(seen)
        known = remembered({}, seen)
        while following.watch or any(_waits(each) for each in known.values()) or _may_answer(seen):
            _sleep(following.every_seconds)
            seen = _ask(context, names, following, refusals, interactive=False)
            show(seen)
            for each in news(known, seen):
                _tell(context, following.notifier, each)
            known = remembered(known, seen)
        return seen.code
    return Exit.OK


def news(known: Sessions, seen: Status) -> list[Mapping[str, Any]]:
    """The sessions that waited when they were last seen, and are ready or over now."""
    now = _sessions(seen)
    return [now[key] for key in now if _waits(known.get(key, {})) and now[key]["state"] in (rec.READY, rec.ENDED)]


def remembered(known: Sessions, seen: Status) -> Sessions:
    """What is known now: where nobody answers, or cannot tell, what was known before."""
    silent = {row.account for row in seen.accounts if row.problem or row.untold}
    kept = {key: session for key, session in known.items() if key[0] in silent}
    told = _sessions(seen)
    return {**kept, **{key: known.get(key, told[key]) if _is_unknown(told[key]) else told[key] for key in told}}


class _Refusals:
    """Accounts that let nobody in: asked again once somebody has logged in, or the host has had a rest."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[float, AccountStatus]] = {}

    def note(self, seen: Status, spared: Mapping[str, AccountStatus]) -> None:
        """Remember who was refused just now, and forget who was not."""
        for row in seen.accounts:
            rest = math.inf if row.cause in REFUSALS else _REST_SECONDS if row.cause == TURNED_AWAY else 0.0
            if row.account not in spared:
                self._rows[row.account] = (time.monotonic() + rest, row)

    def spared(self) -> dict[str, AccountStatus]:
        """The rows of those who are not to be asked now."""
        now = time.monotonic()
        rows = {name: row for name, (until, row) in self._rows.items() if now < until}
        return {name: row for name, row in rows.items() if not ssh.master_alive(Files(state_directory(name)))}


def _ask(
    context: Context, names: Sequence[str], following: Following, refusals: _Refusals, *, interactive: bool
) -> Status:
    spared = refusals.spared()
    seen = status.run(context, names, interactive=interactive, everybody=following.everybody, spared=spared)
    refusals.note(seen, spared)
    if following.html:
        try:
            status_page.write(following.html, seen, again_seconds=following.every_seconds if following.repeats else 0)
        except OSError as error:
            if interactive:
                raise
            context.progress.say(f"{following.html} cannot be written now: {error.strerror}")
    return seen


def _may_answer(seen: Status) -> bool:
    """Whether an account that says nothing now may have a session that waits, and say so later."""
    return any(row.problem and row.cause not in REFUSALS for row in seen.accounts) and seen.code != Exit.OK


def _is_unknown(session: Mapping[str, Any]) -> bool:
    return session.get("state") == rec.UNKNOWN


def _waits(session: Mapping[str, Any]) -> bool:
    return session.get("state") in _WAITING


def _sessions(seen: Status) -> Sessions:
    return {(row.account, str(each["session"])): each for row in seen.accounts for each in row.sessions}


def _tell(context: Context, notifier: Notifier | None, session: Mapping[str, Any]) -> None:
    if notifier is not None:
        about = {name: str(session.get(name) or "") for name in ("account", "session", "state", "node", "job_id")}
        problem = notifier.tell(line(session), about)
        if problem:
            context.progress.say(problem)


def _sleep(seconds: float) -> None:
    """Apart, for tests."""
    time.sleep(seconds)


@contextlib.contextmanager
def _screen(context: Context, following: Following) -> Iterator[Callable[[Status], None]]:
    """On a terminal that can, what is shown is replaced; elsewhere a block is added where something has changed."""
    if context.as_json or not can_replace(sys.stdout):
        yield _Log(as_json=context.as_json)
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, vertical_overflow="visible") as live:

        def show(seen: Status) -> None:
            asked = datetime.now().astimezone().strftime("%H:%M:%S")
            footer = f"Asked at {asked}, again every {following.every_seconds} seconds; Ctrl-C ends this"
            live.update(Text(render.printable("\n".join([*seen.lines(), "", footer]))), refresh=True)

        yield show


class _Log:
    """What is written to a file or a pipe: nothing twice."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._last: object = None

    def __call__(self, seen: Status) -> None:
        told = seen.to_json() if self._as_json else seen.lines()
        if told != self._last:
            self._last = told
            render.show(seen, as_json=self._as_json)

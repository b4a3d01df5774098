"""``launch --first``: the same session on several clusters, for whichever is ready first.

What is about to be done is in a journal before it is done, and every job carries the race's id: whoever dies in the
middle, the next command takes back what is left. If there is none, sessions that nobody comes for end by themselves.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe, line

from hpc_jupyter import journal, options, racers
from hpc_jupyter.access import Access, needs_setup
from hpc_jupyter.commands import connect, launching, status
from hpc_jupyter.connection import Link
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached, Failure, SessionFailed, Stopped, Waiting, exit_code
from hpc_jupyter.events import HostResult, PlayResult
from hpc_jupyter.journal import Race
from hpc_jupyter.play import Play, clean_up_after_the_dead
from hpc_jupyter.play import run as run_play
from hpc_jupyter.progress import Quiet
from hpc_jupyter.state import Store
from hpc_jupyter.watch import Watcher, check

_PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0, 15.0)
_STARTING_PAUSE = 1.0
Sessions = Mapping[str, Mapping[str, Any]]
"""The race's session on each account that has one."""


def run(context: Context, text: str, account: str, wanted: options.Launch) -> Link:
    """Submit to all, keep what is ready first, cancel the others, and connect."""
    names = racers.chosen(context.accounts.accounts, text, account=account)
    racers.check(context, names, wanted)
    with _owned(context, names, wanted.session) as race:
        winner = _Race(context, wanted, race).run()
    connector = context.connector(Access.to(context.account(winner).cluster), wanted.session)
    return connect.link(context, connector, wanted.connection)


def settle(context: Context, *, account: str = "", session: str = "") -> None:
    """Finish the races of which the client has died; the ``session`` of ``account`` is what the person means now.

    What cannot be done now is said, and tried again by the next command.
    """
    for left in journal.left():
        with journal.owned(left) as race:
            if race is not None:
                meant = account if session == race.session else ""
                _settle(replace(context, inventory=race.inventory), race, meant=meant)


def _settle(context: Context, race: Race, *, meant: str) -> None:
    try:
        if not race.winner:
            seen = _look(context, race, race.accounts)
            race = replace(race, winner=_kept(seen, meant)).write()
        kept = f"session {race.session} of {race.winner} is kept" if race.winner else "no session of it runs"
        context.progress.say(f"launch --first {','.join(race.asked)} was cut off; {kept}")
        _withdraw(context, race)
    except HpcJupyterError as error:
        context.progress.say(f"What a launch --first that was cut off has left is still there ({race.path}): {error}")
    finally:
        context.progress.done()


@contextlib.contextmanager
def _owned(context: Context, names: tuple[str, ...], session: str) -> Iterator[Race]:
    """The same race as one that was interrupted, so that its jobs keep their places in the queues; else a new one."""
    asked = (session, names, tuple(context.accounts.sources))
    same = [race for race in journal.left() if (race.session, race.asked, race.inventory) == asked and not race.winner]
    for left in same:
        with journal.owned(left) as race:
            if race is None:
                raise Busy(f"another hpc-jupyter is at it: launch --first {','.join(names)}. Wait for it, or end it")
            context.progress.say("Going on with a launch that was interrupted")
            yield race
            return
    settle(context)
    race = journal.new(session, names, tuple(context.accounts.sources))
    with journal.owned(race):
        yield race


def first(seen: Sessions) -> str:
    """The account whose session is ready; empty if none is."""
    return next((name for name, session in seen.items() if session["state"] == rec.READY), "")


def _kept(seen: Sessions, meant: str) -> str:
    """The account whose session outlives its client: what the person ``meant``, even if it waits, or what runs."""
    lives = meant in seen and seen[meant]["state"] not in (rec.ENDED, rec.UNKNOWN)
    return meant if lives else first(seen) or _running(seen)


def _running(seen: Sessions) -> str:
    """The account whose session is nearest to being ready."""
    return next((name for name, session in seen.items() if session["state"] == rec.STARTING), "")


class _Race:
    """One launch on several clusters, from its first look to the one session that is kept."""

    def __init__(self, context: Context, wanted: options.Launch, race: Race) -> None:
        self._context = context
        self._wanted = wanted
        self._race = race
        self._out: dict[str, HpcJupyterError] = {}
        self._said: dict[str, object] = {}
        self._submitted = False

    def run(self) -> str:
        """The account whose session is ready; those of the others are cancelled, also if this is interrupted."""
        try:
            return self._win()
        except KeyboardInterrupt:
            raise Detached(f"interrupted; {self._give_up()}") from None
        except (Stopped, HpcJupyterError):
            self._give_up()
            raise
        finally:
            self._context.progress.done()

    def _win(self) -> str:
        for name in self._race.asked:
            self._enter(name)
        seen = self._look()
        if not first(seen):
            self._submit()
            seen = self._await()
        winner = first(seen)
        self._race = replace(self._race, winner=winner)
        self._tell_winner(winner, seen)
        if self._race.began:
            _withdraw(self._context, self._race.write())
        return winner

    def _give_up(self) -> str:
        """Cancel what was submitted, unless there is a winner already; what is left then is the next command's."""
        if self._race.winner:
            return f"the session on {self._race.winner} is ready: {self._hint('connect', self._race.winner)}"
        if not self._race.began:
            return "nothing was submitted"
        with contextlib.suppress(OSError):  # a terminal that was closed
            self._context.progress.say("Cancelling what was submitted")
        done = _withdraw(self._context, self._race)
        return "what was submitted is cancelled" if done else "the next hpc-jupyter command cancels what is left"

    @property
    def _left(self) -> tuple[str, ...]:
        return tuple(name for name in self._race.asked if name not in self._out)

    def _enter(self, name: str) -> None:
        with self._leaving_out(name):
            self._context.access(name)

    @contextlib.contextmanager
    def _leaving_out(self, name: str) -> Iterator[None]:
        """The race goes on without an account that fails; raises when none is left."""
        try:
            yield
        except Detached:
            raise KeyboardInterrupt from None
        except HpcJupyterError as error:
            self._out[name] = error
            self._context.progress.say(f"Left out: {name}: {error}")
        if not self._left:
            code = exit_code(next(iter(self._out.values())))
            raise Failure(f"no account of {', '.join(self._race.asked)} can have the session; see above", code=code)

    def _submit(self) -> None:
        for name in self._left:
            self._prepare(name)
        accounts = tuple(dict.fromkeys((*self._race.accounts, *self._left)))
        self._race = replace(self._race, accounts=accounts, began=time.time(), answered=False).write()
        self._context.progress.now(f"Submitting to {', '.join(self._left)}")
        variables = {
            **self._wanted.variables, "jupyter_session_race": self._race.id, "jupyter_session_wait_seconds": 0,
        }  # fmt: skip
        result = _play(self._context, "hpc.jupyter.launch", self._left, variables)
        self._race = replace(self._race, answered=True).write()
        self._submitted = True  # what had ended before, ended in another launch
        for name in self._left:
            self._take(name, result)

    def _prepare(self, name: str) -> None:
        with self._leaving_out(name):
            access = Access.to(self._context.account(name).cluster)
            installed = access.installed_version()
            if needs_setup(installed):
                launching.set_up(self._context, name, installed)
            Store(name).note(self._wanted.session)

    def _take(self, name: str, result: PlayResult) -> None:
        """What came of the submit on one account."""
        host = _host(result, name)
        with self._leaving_out(name):
            check(PlayResult(not host.failed, {name: host}, host.message), name)
        if name not in self._out:
            self._tell(name, host.session)
            if host.session.get("race") != self._race.id and host.session.get("state") != rec.READY:
                job = host.session.get("job_id") or "its job"
                self._context.progress.say(f"{name} had job {job} before: it stays, whichever is first")

    def _await(self) -> Sessions:
        """Look until one is ready."""
        pauses = list(_PAUSES)
        patience = self._wanted.variables.get("jupyter_session_wait_seconds")
        deadline = None if patience is None else time.monotonic() + int(patience)
        while True:
            seen = self._look()
            if first(seen):
                return seen
            if deadline is not None and time.monotonic() >= deadline:
                raise Waiting(f"nothing was ready on {', '.join(self._left)} within {patience} seconds")
            self._context.progress.now(f"Waiting for the first of {', '.join(self._left)}")
            pause = pauses.pop(0) if len(pauses) > 1 else pauses[0]
            _sleep(_STARTING_PAUSE if _running(seen) else pause)

    def _look(self) -> Sessions:
        """How things stand; a session of this race that has ended leaves its account out."""
        seen = _look(self._context, self._race, self._left)
        for name, session in seen.items():
            if session["state"] != rec.ENDED:
                self._tell(name, session)
            elif session.get("race") == self._race.id and self._submitted and not session.get("may_go_on"):
                with self._leaving_out(name):
                    raise SessionFailed(f"{describe(session)}. See: {self._hint('logs', name)}")
        return {name: session for name, session in seen.items() if name in self._left}

    def _tell(self, name: str, session: Mapping[str, Any]) -> None:
        """Say where a session stands, when that is something else than before."""
        stands = (session.get("state"), session.get("job_id"))
        if session.get("state") != rec.ENDED and self._said.get(name) != stands:
            self._said[name] = stands
            self._context.progress.say(line({**session, "race": ""}))

    def _tell_winner(self, winner: str, seen: Sessions) -> None:
        own = {name: each for name, each in seen.items() if each.get("race") == self._race.id and name != winner}
        jobs = [f"job {each['job_id']} on {name}" for name, each in own.items() if each.get("job_id")]
        also = f"; cancelling {', '.join(jobs)}" if jobs else ""
        self._context.progress.say(f"{winner} is ready first{also}")

    def _hint(self, verb: str, name: str) -> str:
        return self._context.hints(name, self._race.session).command(verb)


def _look(context: Context, race: Race, names: Sequence[str]) -> Sessions:
    """The session of each account that has one, in the order of the accounts; unknown where nobody answers."""
    seen: dict[str, Mapping[str, Any]] = {}
    for row in status.run(context, names, interactive=False).accounts:
        silent = {"account": row.account, "session": race.session, "state": rec.UNKNOWN, "reason": row.problem}
        found = [silent] if row.problem else [each for each in row.sessions if each["session"] == race.session]
        seen.update((row.account, each) for each in found)
    return seen


def _withdraw(context: Context, race: Race) -> bool:
    """Cancel what was submitted for the race anywhere but where it was won; whether that is all done, and forgotten."""
    losers = [name for name in race.accounts if name != race.winner]
    variables = {
        "jupyter_session_name": race.session, "jupyter_session_race": race.id, "jupyter_session_all": True,
    }  # fmt: skip
    result = _play(context, "hpc.jupyter.stop", losers, variables) if losers else PlayResult(succeeded=True, hosts={})
    kept = [name for name in losers if not _is_withdrawn(context, name, race, result)]
    if kept:
        replace(race, accounts=(*kept, *([race.winner] if race.winner else []))).write()
    else:
        race.forget()
    return not kept


def _is_withdrawn(context: Context, name: str, race: Race, result: PlayResult) -> bool:
    """Whether there is nothing of the race on the account, and nothing will come."""
    host = _host(result, name)
    if host.failed:
        context.progress.say(
            f"{name}: what was submitted there may still wait: {host.message}\n"
            f"The next hpc-jupyter command tries again, or: {context.hints(name, race.session).command('stop')}"
        )
        return False
    if host.changed:
        context.progress.say(f"Cancelled job {host.session.get('job_id') or ''} on {name}")
    return host.changed or not race.may_come_late()


def _host(result: PlayResult, name: str) -> HostResult:
    """What came of an account; a play that did not get that far has failed there."""
    return result.hosts.get(name) or HostResult(name, failed=True, message=result.message or "Ansible did not say")


def _play(context: Context, playbook: str, names: Sequence[str], variables: Mapping[str, Any]) -> PlayResult:
    wanted = Play(
        playbook, inventory=context.accounts.sources, accounts=names, variables=variables, verbosity=context.verbosity
    )
    clean_up_after_the_dead()
    result = run_play(wanted, Watcher(Quiet()))
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _sleep(seconds: float) -> None:
    """Apart, for tests."""
    time.sleep(seconds)

"""Hold a connection: notice when it breaks, mend it, and stop when the session is over.

What decides is whether the session answers through the forward, not whether a process lives.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import DENIED, TURNED_AWAY, UNTRUSTED
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import is_on_login_host

from hpc_jupyter.access import Attached
from hpc_jupyter.connection import Connector, Link, NoRoute
from hpc_jupyter.door import Door
from hpc_jupyter.errors import Failure, NoForward, NoSession, SessionFailed, Unreachable, Waiting
from hpc_jupyter.exits import Exit
from hpc_jupyter.forward import LOGIN_SECONDS
from hpc_jupyter.outage import Outage, first_sentence

_TICK_SECONDS = 1.0
_PROBE_SECONDS = 5.0
_ANSWER_SECONDS = 3.0
_SLEPT_SECONDS = 5.0
_BUSY_SECONDS = 45.0
"""How long a session may keep silent over connections that carry: longer than ssh takes to give up a dead one."""
_PATIENCE_SECONDS = 8.0
_ACCOUNT_SECONDS = 10.0
_LOGIN_SECONDS = (10.0, 10.0, 60.0)
"""In turn: most logins are quick, and one that was begun in vain must not stand in the way of the next."""
_FRESH_SECONDS = 600.0
"""For so long the session is thought to be where it was."""
_GIVE_UP_SECONDS = 24 * 3600.0
_FAILED = ("failed", "lost")
_PASSING = (OSError, subprocess.SubprocessError)
"""A full disk, too many processes or open files, a program that is late on a machine which has just woken."""


class _Quiet:
    """Progress of what is done in the background of a connection."""

    def say(self, text: str) -> None:
        """Nothing; the outage is spoken of as a whole."""

    def now(self, text: str) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def done(self) -> None:
        """Nothing."""


@dataclass
class _Watch:
    """When to ask the session again: at once after this machine has slept or has got another address."""

    address: str
    answered: float
    due: float
    clock: float
    shaken: bool = False

    @classmethod
    def begin(cls, address: str) -> _Watch:
        """From an answer on."""
        return cls(address, time.time(), time.monotonic() + _PROBE_SECONDS, time.time())

    def is_due(self, address: str) -> bool:
        """Whether to ask now."""
        clock, before = time.time(), self.clock
        self.clock = clock
        self.shaken = clock - before > _SLEPT_SECONDS or address != self.address
        return self.shaken or time.monotonic() >= self.due


def close(link: Link) -> None:
    """End the forward, if this process holds it."""
    if link.forward is not None:
        link.forward.close()


class Holder:
    """Keeps one connection alive under one local address; ``link`` is the connection as it is now."""

    def __init__(self, connector: Connector, link: Link, say: Callable[[str], None]) -> None:
        self.link = link
        self._say = say
        self._asking = connector.progress
        self._connector = replace(connector, progress=_Quiet())
        self._access = connector.access
        self._door = Door.of(self._access.cluster, self._access.files)
        self._master = ssh.master_pid(self._access.files.control)
        self._refused: dict[str, set[str]] = {}
        self._troubles: set[str] = set()

    def run(self) -> None:
        """Until the session is over; raises ``NoSession`` or ``SessionFailed`` then, or what cannot be mended."""
        try:
            while True:
                try:
                    outage = self._until_lost()
                    answers = self._answers_again(outage)
                except _PASSING as error:
                    self._wait_out(error)
                    continue
                if not answers:
                    self.mend(outage)
        except NoSession as error:
            raise self._ended(error) from None
        finally:
            close(self.link)
            self._connector.store.release(self._connector.session)

    def _wait_out(self, error: BaseException) -> None:
        """What fails on this machine proves nothing about the connection; it is told once."""
        text = f"Cannot tell whether the connection works: {first_sentence(error)}; trying again"
        if text not in self._troubles:
            self._troubles.add(text)
            self._say(text)
        time.sleep(_TICK_SECONDS)

    def _until_lost(self) -> Outage:
        watch = _Watch.begin(self._door.own_address())
        while True:
            lives = self.link.forward is not None and self.link.forward.wait(_TICK_SECONDS)
            address = self._door.own_address()
            if lives and not watch.is_due(address):
                continue
            answered, late = self._ask()
            if lives and not answered and not late:  # one answer that goes wrong is no proof
                time.sleep(_TICK_SECONDS)
                answered, late = self._ask()
            if not answered:
                return Outage(self._say, since=watch.answered, cut=watch.shaken, gone=lives and not late,
                              moved=address not in ("", watch.address))
            watch = _Watch.begin(address)

    def _ask(self, *, seconds: float = _ANSWER_SECONDS) -> tuple[bool, bool]:
        """Whether the session answers, and if not, whether that is because it was late."""
        if self.link.forward is None:
            return False, False
        answer = self.link.forward.ask(self.link.attached.token, seconds=seconds)
        return answer.ok, answer.late

    def _answers_again(self, outage: Outage) -> bool:
        """Wait for the connection that there is, as long as it may come back by itself.

        After a short cut it does, since TCP repeats what was not received; after a long one a new one is faster.
        """
        patience = 0.0
        while not outage.gone and self.link.forward is not None and self.link.forward.is_alive:
            if not self._is_door_open(outage):
                patience = 0.0
                continue
            if outage.cut and not patience and (outage.moved or not outage.is_short):
                return False
            patience = patience or time.monotonic() + _PATIENCE_SECONDS
            answered, late = self._ask()
            if answered:
                outage.over()
                return True
            if not late or (time.monotonic() > patience and (outage.cut or self._is_given_up(outage))):
                return False
        return False

    def _is_given_up(self, outage: Outage) -> bool:
        """Whether a session that is silent, though the first host is there, is elsewhere or must be tried anew."""
        outage.tell(f"session {self._connector.session} does not answer")
        if outage.seconds > _BUSY_SECONDS:
            return True
        try:
            attached = self._connector.attach(seconds=_ACCOUNT_SECONDS)
        except Unreachable:
            outage.cut = not self._access.carries(seconds=_ANSWER_SECONDS)
            return outage.cut
        except Waiting:
            return True
        except (Failure, Busy, OSError) as error:
            if isinstance(error, NoSession):
                raise
            return False
        return _place(attached.record) != _place(self.link.record)

    def _is_door_open(self, outage: Outage) -> bool:
        if self._door.is_open():
            return True
        outage.cut = True
        outage.tell(f"{self._door.name} does not answer")
        time.sleep(outage.knock_pause())
        return False

    def mend(self, outage: Outage) -> None:
        """Connect again under the same port, with growing pauses; follows the session to another node.

        Raises ``NoSession`` when it is over, and what trying again does not help against.
        """
        import tenacity

        before = self.link

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            outage.tell(first_sentence(error, self._access.cluster.name, self._connector.account))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_worth_trying_again),
            wait=lambda state: outage.pause_after(state.outcome.exception() if state.outcome else None),
            stop=lambda _state: outage.awake > _GIVE_UP_SECONDS,
            before_sleep=tell,
            reraise=True,
        )
        self.link = retrying(self._again, outage)
        outage.over(now_at=_changed(before, self.link))

    def _is_worth_trying_again(self, error: BaseException) -> bool:
        if isinstance(error, (Busy, *_PASSING)):
            return True
        if isinstance(error, NoSession) or not isinstance(error, Failure):
            return False
        if error.cause == DENIED:  # unless it was for want of a login, a node refuses us
            return not self._access.carries(seconds=_ACCOUNT_SECONDS)
        return error.code != Exit.BAD_INPUT and error.cause != UNTRUSTED

    def _again(self, outage: Outage) -> Link:
        while not self._is_door_open(outage):
            if outage.awake > _GIVE_UP_SECONDS:
                raise Unreachable(f"{self._access.cluster.name}: {self._door.name} has not answered for a day")
        self._log_in(outage)
        if not outage.gone and self._ask(seconds=1.0)[0]:
            return self.link
        self._connector.store.lose(self._connector.session)
        close(self.link)
        return self._as_it_was(outage) or self._as_told()

    def _as_it_was(self, outage: Outage) -> Link | None:
        """To where the session was a moment ago, without asking anybody: most breaks have nothing to do with it."""
        elsewhere = is_on_login_host(asdict(self.link.record), self.link.route.name)
        if outage.gone or elsewhere or outage.seconds > _FRESH_SECONDS:
            return None
        outage.gone = True
        try:
            with self._connector.store.lock(self._connector.session):
                return self._reconnect(self.link.attached, seconds=_ACCOUNT_SECONDS)
        except NoForward as error:
            if error.cause == TURNED_AWAY:
                raise
            return None

    def _as_told(self) -> Link:
        """To where the account says that the session is."""
        attached = self._connector.attach()
        with self._connector.store.lock(self._connector.session), self._connector.believing_the_scheduler():
            return self._reconnect(attached)

    def _reconnect(self, attached: Attached, *, seconds: float = LOGIN_SECONDS) -> Link:
        """By a route that has not refused us on this node: sites punish who comes again."""
        refused = self._refused.setdefault(attached.record.node, set())
        try:
            return self._connector.reconnect(attached, self.link, without=refused, seconds=seconds)
        except NoRoute as error:
            refused |= error.refused
            raise

    def _log_in(self, outage: Outage) -> None:
        seconds = _LOGIN_SECONDS[outage.tries % len(_LOGIN_SECONDS)]
        # Another holder, or a person, may have logged in since: theirs carries.
        dead = self._master if outage.cut else 0
        try:
            self._access.log_in(self._connector.progress, interactive=False, instead_of=dead, seconds=seconds)
        except Unreachable as error:
            outage.cut = True
            if error.cause != DENIED:
                raise
            self._log_in_with_help(error, outage)
        outage.cut = False
        self._master = ssh.master_pid(self._access.files.control)

    def _log_in_with_help(self, error: Unreachable, outage: Outage) -> None:
        """A key is not enough: sites punish who tries again, so a person is asked once, and a login by hand awaited."""
        if self._comes_back(outage):
            return
        if sys.stdin.isatty() and not outage.asked:
            outage.asked = True
            outage.tell(self._short(error), then="log in again")
            try:
                self._access.log_in(self._asking, interactive=True, instead_of=self._master, once=True)
                return
            except Unreachable as refusal:
                if refusal.cause == UNTRUSTED:
                    raise
                error = refusal
            finally:
                self._asking.done()
        log_in = replace(self._connector.hints, session="default").command("login")
        outage.tell(self._short(error), then=f"log in once, and it comes back by itself: {log_in}")
        self._await_login(error)

    def _comes_back(self, outage: Outage) -> bool:
        """Whether the login that there was comes back by itself, which takes TCP as long again as the cut at most."""
        deadline = time.monotonic() + min(outage.seconds, 60.0)
        while ssh.master_alive(self._access.files) and time.monotonic() < deadline:
            if self._access.carries(seconds=_ACCOUNT_SECONDS):
                return True
            time.sleep(_TICK_SECONDS)
        return False

    def _await_login(self, error: Unreachable) -> None:
        """Until somebody has logged in; nobody is contacted."""
        deadline = time.monotonic() + _GIVE_UP_SECONDS
        while not self._access.carries(seconds=_ACCOUNT_SECONDS):
            if time.monotonic() > deadline:
                raise error
            time.sleep(_TICK_SECONDS)

    def _short(self, error: Unreachable) -> str:
        return first_sentence(error, self._access.cluster.name)

    def _ended(self, error: NoSession) -> Failure:
        """The end in the words of the account; where something failed, with the last lines of the session's log."""
        seen: Mapping[str, Any] = {}
        with contextlib.suppress(Unreachable):
            seen = self._access.observe(self._connector.session)
        if seen.get("how") not in _FAILED:
            return error
        return SessionFailed(str(error), detail=self._access.last_words(str(seen.get("log", ""))))


def _place(record: Any) -> tuple[object, ...]:
    """Where a session is."""
    return (record.generation, record.job_id, record.node, record.socket, record.address, record.port, record.state)


def _changed(before: Link, after: Link) -> str:
    """What is no longer as it was."""
    node = f"on {after.record.node}" if after.record.node != before.record.node else ""
    address = f"at {after.address}" if after.address != before.address else ""
    return " ".join(part for part in (node, address) if part)

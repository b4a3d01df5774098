"""A connection that is made while the play still ends, and begun before the session is ready."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record

from hpc_jupyter.access import Attached
from hpc_jupyter.ahead import Ahead
from hpc_jupyter.connection import Link
from hpc_jupyter.errors import NoForward
from hpc_jupyter.events import Step
from hpc_jupyter.following import News, Word
from hpc_jupyter.forward import Forward

SECONDS = 10


class Begun(Forward):
    """One that notes its end."""

    is_closed = False

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


@dataclass
class Noting:
    """A way that notes what is done."""

    takes_begun: bool = True
    before: Callable[[], object] = lambda: None
    calls: list[str] = field(default_factory=list)
    begun: Begun = field(default_factory=Begun)
    done: threading.Event = field(default_factory=threading.Event)
    dropped: threading.Event = field(default_factory=threading.Event)
    news: News = field(default_factory=queue.SimpleQueue)

    def begin(self, attached: Attached) -> Forward:
        """Begin one."""
        self.calls.append(f"begin on {attached.record.node}")
        return self.begun

    def connect(self, attached: Attached | None, begun: Forward | None) -> Link:
        """Connect, if nothing speaks against it."""
        self.before()
        said = f"as {attached.record.state}" if attached else "and ask"
        self.calls.append(f"connect {said}{' by what was begun' if begun else ''}")
        return cast("Link", SimpleNamespace(forward=begun if self.takes_begun else None))

    def drop(self, _link: Link) -> None:
        """Note it."""
        self.dropped.set()

    def ahead(self) -> Ahead:
        """What goes this way."""
        return Ahead(self, self.news, self.done.set)


def step(**session: Any) -> Step:
    """A step that says this of the session."""
    return Step("ok", "alice@lab", "Find or submit the session", {"session": session} if session else {})


def attached(state: str) -> Attached:
    """What the account tells."""
    return Attached(Record("default", "lab", "alice@lab", "slurm", state=state, node="c1"), "token")


def test_only_a_session_that_is_ready_is_connected_to() -> None:
    way = Noting()
    with way.ahead() as ahead:
        for each in (step(), step(state="queued"), step(state="starting"), step(state="ended"), Step("tick")):
            ahead.see(each)
        way.news.put(Word.OVER)
        assert ahead.take() is None
    assert way.done.wait(SECONDS)
    assert way.calls == []


def test_what_only_the_play_has_seen_the_account_is_asked_about_once() -> None:
    way = Noting()
    with way.ahead() as ahead:
        way.news.put(Word.OVER)
        ahead.see(step(state="ready"))
        ahead.see(step(state="ready"))
        assert ahead.take() is not None
    assert way.done.is_set()
    assert way.calls == ["connect and ask"]


def test_an_account_that_says_no_more_is_asked_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpc_jupyter.ahead._SOON_SECONDS", 0.1)
    way = Noting()
    with way.ahead() as ahead:
        ahead.see(step(state="ready"))
        assert ahead.take() is not None
    assert way.calls == ["connect and ask"]


@pytest.mark.parametrize("takes_begun", [True, False])
def test_it_is_begun_while_the_session_starts_and_ended_if_it_is_not_taken(takes_begun: bool) -> None:
    way = Noting(takes_begun=takes_begun)
    with way.ahead() as ahead:
        for state in ("starting", "starting", "ready"):
            way.news.put(attached(state))
        assert way.done.wait(SECONDS)
        link = ahead.take()
    assert way.calls == ["begin on c1", "connect as ready by what was begun"]
    assert link is not None
    assert way.begun.is_closed is not takes_begun


def test_what_was_begun_ends_when_everybody_leaves() -> None:
    way = Noting()
    with way.ahead():
        way.news.put(attached("starting"))
    assert way.done.wait(SECONDS)
    assert way.begun.is_closed
    assert way.calls == ["begin on c1"]


def test_why_there_is_no_connection_is_told_to_whoever_takes_it() -> None:
    def refuse() -> None:
        raise NoForward("login1 does not get through to c1")

    way = Noting(before=refuse)
    with way.ahead() as ahead:
        way.news.put(attached("starting"))
        way.news.put(attached("ready"))
        assert way.done.wait(SECONDS)
        with pytest.raises(NoForward, match="login1 does not get through to c1"):
            ahead.take()
    assert way.begun.is_closed


@pytest.mark.parametrize("is_late", [False, True])
def test_a_connection_that_nobody_took_is_ended(is_late: bool) -> None:
    go = threading.Event()
    way = Noting(before=lambda: go.wait(SECONDS))
    with way.ahead():
        way.news.put(attached("ready"))
        if not is_late:
            go.set()
            assert way.done.wait(SECONDS)
    assert way.dropped.is_set() is not is_late
    go.set()
    assert way.dropped.wait(SECONDS)

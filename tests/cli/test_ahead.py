"""A connection that is made while the play still ends."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from hpc_jupyter.ahead import Ahead
from hpc_jupyter.connection import Link
from hpc_jupyter.errors import NoForward
from hpc_jupyter.events import Step

LINK = cast("Link", object())
SECONDS = 10


def step(**session: Any) -> Step:
    """A step that says this of the session."""
    return Step("ok", "alice@lab", "Find or submit the session", {"session": session} if session else {})


def noting(calls: list[str]) -> Ahead:
    """One that notes what it does."""

    def connect() -> Link:
        calls.append("connect")
        return LINK

    return Ahead(connect, lambda _: calls.append("drop"), lambda: calls.append("then"))


def test_only_a_session_that_is_ready_is_connected_to() -> None:
    calls: list[str] = []
    with noting(calls) as ahead:
        for each in (step(), step(state="queued"), step(state="starting"), step(state="ended"), Step("tick")):
            ahead.see(each)
        assert ahead.take() is None
    assert calls == []


def test_it_is_connected_to_once_and_whoever_takes_the_connection_has_it() -> None:
    calls: list[str] = []
    with noting(calls) as ahead:
        ahead.see(step(state="ready"))
        ahead.see(step(state="ready"))
        assert ahead.take() is LINK
    assert calls == ["connect", "then"]


def test_why_there_is_no_connection_is_told_to_whoever_takes_it() -> None:
    done = threading.Event()

    def connect() -> Link:
        raise NoForward("login1 does not get through to c1")

    with Ahead(connect, lambda _: None, done.set) as ahead:
        ahead.see(step(state="ready"))
        assert done.wait(SECONDS)
        with pytest.raises(NoForward, match="login1 does not get through to c1"):
            ahead.take()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_connection_that_nobody_took_is_ended(is_late: bool) -> None:
    go, done, dropped = threading.Event(), threading.Event(), threading.Event()

    def connect() -> Link:
        assert go.wait(SECONDS)
        return LINK

    with Ahead(connect, lambda _: dropped.set(), done.set) as ahead:
        ahead.see(step(state="ready"))
        if not is_late:
            go.set()
            assert done.wait(SECONDS)
    assert dropped.is_set() is not is_late
    go.set()
    assert dropped.wait(SECONDS)

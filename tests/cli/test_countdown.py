"""What a person is told of the time that is left while their connection is held."""

from __future__ import annotations

import io
import json
import re
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import words
from ansible_collections.hpc.jupyter.plugins.module_utils.record import timestamp
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe

from hpc_jupyter import hold
from hpc_jupyter.connection import Link
from hpc_jupyter.countdown import Countdown, Times, Warnings, standing, times
from hpc_jupyter.progress import Live, Plain, choose
from tests.cli.conftest import World, connect

NOW = 1_900_000_000.0
NAME = "session default of me@lab"
TOLD = {"ends_in": 4325.0, "warn_minutes": [30, 5], "used_ago": 10.0, "idle_seconds": 7200, "idle_in": 7190.0,
        "idle_warn_minutes": [30, 5]}  # fmt: skip


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59, "less than a minute"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (4325, "1 h 12 min"),
        (86400, "1 d"),
        (97200, "1 d 3 h"),
    ],
)
def test_a_duration_is_told_in_whole_minutes(seconds: int, text: str) -> None:
    assert words.duration(seconds) == text


def test_status_says_how_much_time_is_left_and_since_when_nobody_uses_it() -> None:
    now = time.time()
    session = {
        "state": "ready", "job_id": "12", "node": "c1", "ends_at": timestamp(now + 4350),
        "idle_since": timestamp(now - 600), "idle_ends_at": timestamp(now + 3000),
    }  # fmt: skip
    ends, since, over = (words.local_time(session[key]) for key in ("ends_at", "idle_since", "idle_ends_at"))
    assert describe(session) == (
        f"Ready on c1 as job 12, 1 h 12 min left (until {ends}); not used since {since}, which ends it at {over}"
    )
    assert describe({**session, "ends_at": timestamp(now - 5), "idle_since": ""}) == (
        "Ready on c1 as job 12, its time is over"
    )
    assert describe({"state": "ready", "node": "c1", "race": "0123456789abcdef"}) == (
        "Ready on c1; nobody has come for it yet, and if nobody does it ends soon"
    )


@pytest.mark.parametrize("told", [None, [], "x", {}, {"ends": 1}])
def test_what_is_no_answer_is_not_believed(told: Any) -> None:
    assert times(told, now=NOW) is None


def test_an_answer_in_seconds_becomes_moments_here() -> None:
    known = times(TOLD, now=NOW)
    assert known == Times(NOW + 4325, (30, 5), 0.0, NOW + 7190, (30, 5))
    assert times({**TOLD, "used_ago": 400}, now=NOW) == Times(NOW + 4325, (30, 5), NOW - 400, NOW + 7190, (30, 5))
    assert times({"ends_in": None, "warn_minutes": None, "idle_in": "x"}, now=NOW) == Times(warn_minutes=())


def test_the_line_says_how_things_stand() -> None:
    now = time.time()
    ends, since = words.local_time(timestamp(now + 4350)), words.local_time(timestamp(now - 600))
    assert standing("c1", Times(now + 4350)) == f"Connected to c1, 1 h 12 min left (until {ends})"
    assert standing("c1", Times(0.0, unused_since=now - 600, idle_ends_at=now + 4350)) == (
        f"Connected to c1; not used since {since}, which ends it at {ends}"
    )


@pytest.mark.rows("F9")
def test_each_warning_is_given_once_and_again_after_more_time() -> None:
    warnings, ends_at = Warnings(NAME), time.time() + 7200

    def at(left: float, ends_at: float = ends_at) -> list[str]:
        return warnings.lines(Times(ends_at, (30, 5)), now=ends_at - left)

    clock = words.local_time(timestamp(ends_at))
    assert at(7000) == []
    assert at(1790) == [f"Warning: {NAME} ends at {clock} (in 30 min): save your work"]
    assert at(1700) == []
    assert at(299) == [f"Warning: {NAME} ends at {clock} (in 5 min): save your work"]
    assert at(10) == []
    later = ends_at + 3600
    [changed] = at(3610, later)
    assert re.fullmatch(rf"The time of {NAME} has changed: 2 h 59 min left \(until .+\)", changed)
    assert at(1790, later)[0].startswith(f"Warning: {NAME} ends at ")


@pytest.mark.rows("F46")
def test_a_session_that_nobody_uses_is_warned_of_too() -> None:
    warnings, now = Warnings(NAME), time.time()
    known = Times(idle_ends_at=now + 20, idle_warn_minutes=(1,))
    clock = words.local_time(timestamp(now + 20))
    assert warnings.lines(known, now=now) == [
        f"Warning: nobody uses {NAME}, so it ends at {clock} (in less than a minute)"
    ]
    assert warnings.lines(known, now=now) == []
    assert warnings.lines(Times(idle_ends_at=now + 7200, idle_warn_minutes=(1,)), now=now) == []


class _Standing(Plain):
    """Remembers the live line."""

    def __init__(self) -> None:
        self.said = io.StringIO()
        self.stood: list[str] = []
        super().__init__(self.said)

    def stand(self, text: str) -> None:
        self.stood.append(text)

    def done(self) -> None:
        self.stood.append("")


def _shown(link: Link, *, answers: bool = True) -> _Standing:
    """What is shown until the session has answered, or until it has not."""
    progress = _Standing()
    with Countdown(lambda: link, progress):
        deadline = time.monotonic() + 40
        while not (any(progress.stood) if answers else progress.stood) and time.monotonic() < deadline:
            time.sleep(0.02)
    return progress


class _Unknown:
    """A forward of which this machine cannot tell just now whether it has its port."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    @property
    def has_port(self) -> bool:
        raise self.error


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), subprocess.TimeoutExpired("ps", 30)])
def test_what_fails_on_this_machine_alone_ends_no_countdown(error: Exception) -> None:
    link: Any = SimpleNamespace(record=SimpleNamespace(session="s", account="a@c"), forward=_Unknown(error))
    assert Countdown(lambda: link, _Standing())._asked(NOW) is None


def test_the_session_is_asked_through_the_connection(world: World) -> None:
    link = connect(world)
    try:
        world.server.notice = json.dumps({**TOLD, "ends_in": 290}).encode()
        progress = _shown(link)
        assert next(filter(None, progress.stood)).startswith("Connected to node1, 4 min left (until ")
        assert progress.stood[-1] == ""
        assert progress.said.getvalue().startswith(f"Warning: {NAME} ends at ")
    finally:
        hold.close(link)
    assert set(_shown(link, answers=False).stood) == {""}


def test_a_session_of_an_older_release_has_its_record(world: World) -> None:
    world.tell(ends_at=timestamp(time.time() + 4350))
    link = connect(world)
    try:
        assert next(filter(None, _shown(link).stood)).startswith("Connected to node1, 1 h 12 min left (until ")
    finally:
        hold.close(link)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.rows("B67")
@pytest.mark.parametrize(("terminal", "term", "kind"), [
    (True, "xterm", Live), (True, "dumb", Plain), (False, "xterm", Plain),
])  # fmt: skip
def test_only_a_terminal_that_can_has_a_live_line(
    terminal: bool, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    stream = _Terminal() if terminal else io.StringIO()
    progress = choose(stream)
    progress.stand("1 h left")
    progress.say("a warning")
    progress.stand("59 min left")
    progress.done()
    assert type(progress) is kind
    shown = stream.getvalue()
    assert ("59 min left" in shown, shown == "a warning\n") == (kind is Live, kind is Plain)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
import time

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import clock
from ansible_collections.hpc.jupyter.plugins.module_utils.clock import Idleness, Used, Walltime

_MINUTES = (30, 10, 1)


@pytest.mark.parametrize(("left", "minutes"), [
    (3600, 0), (1801, 0), (1800, 30), (601, 30), (600, 10), (61, 10), (60, 1), (1, 1), (0, 0), (-5, 0),
])
def test_the_nearest_warning_is_the_one_that_is_due(left: int, minutes: int) -> None:
    assert clock.due(100000 + left, minutes=_MINUTES, now=100000) == minutes


def test_nothing_is_due_where_the_end_is_not_known() -> None:
    assert clock.due(0, minutes=_MINUTES, now=100000) == 0
    assert clock.due(100030, minutes=(), now=100000) == 0


@pytest.mark.parametrize(("ends_in", "question_in"), [
    (0, 300), (36000, 300), (2000, 170), (1830, 300), (700, 70), (620, 300), (200, 110), (50, 300),
])
def test_the_scheduler_is_asked_seldom_and_before_each_warning(ends_in: int, question_in: int) -> None:
    ends_at = 100000 + ends_in if ends_in else 0
    assert clock.next_question(ends_at, minutes=_MINUTES, now=100000) == 100000 + question_in


@pytest.mark.parametrize(("body", "found"), [
    (b'{"used_ago": 5, "idle_in": 10.5}', Used(5.0, 10.5)),
    (b'{"used_ago": 5.5, "idle_in": null}', Used(5.5, None)),
    (b'{"used_ago": "5"}', None),
    (b"[1]", None),
    (b"<html>", None),
    (b"\xff", None),
])
def test_an_answer_is_believed_as_far_as_it_is_one(body: bytes, found: Used | None) -> None:
    assert clock.used(body) == found


def test_a_record_s_time_is_a_moment() -> None:
    assert clock.seconds("1970-01-02T00:00:01Z") == 86401
    assert clock.seconds("") == 0
    assert clock.seconds("soon") == 0


def test_a_session_is_called_unused_after_a_while_and_ends_at_its_limit() -> None:
    idleness = Idleness(7200)
    assert not idleness.take(Used(60, 7140))
    assert (idleness.since, idleness.ends_at, idleness.is_over) == (0, 0, False)
    assert idleness.take(Used(400, 6800))
    now = time.time()
    assert (round(now - idleness.since), round(idleness.ends_at - now)) == (400, 6800)
    assert not idleness.take(Used(400.5, 6799.5))
    assert not idleness.take(None)
    assert idleness.take(Used(0, 7200))
    assert (idleness.since, idleness.ends_at) == (0, 0)
    assert idleness.take(Used(7201, -1))
    assert idleness.is_over


def test_a_session_without_a_limit_is_never_over() -> None:
    idleness = Idleness(0)
    assert not idleness.take(Used(100000, None))
    assert not idleness.is_over


def _walltime(script: str, ends_at: float, monkeypatch: pytest.MonkeyPatch) -> Walltime:
    monkeypatch.setattr(clock, "ASK_SECONDS", 0.0)
    argv = [sys.executable, "-c", script] if script else []
    return Walltime(ends_at, minutes=_MINUTES, argv=argv, environment=os.environ)


def _asked(walltime: Walltime) -> bool:
    """Whether one question changed something."""
    deadline = time.monotonic() + 20
    walltime.look()
    while walltime._child is not None and time.monotonic() < deadline:
        if walltime.look():
            return True
        time.sleep(0.02)
    return False


def test_the_scheduler_s_word_moves_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    walltime = _walltime("print('a banner'); print('2030-01-01T00:00:00Z')", time.time() + 100, monkeypatch)
    assert _asked(walltime)
    assert walltime.ends_at == clock.seconds("2030-01-01T00:00:00Z")
    assert not _asked(walltime)


def test_an_end_that_the_job_was_not_told_is_asked_for_at_once() -> None:
    script = "import time; print(time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 300)))"
    walltime = Walltime(0.0, minutes=_MINUTES, argv=[sys.executable, "-c", script], environment=os.environ)
    assert _asked(walltime)
    assert 200 < walltime.ends_at - time.time() < 301
    assert walltime.warning() == 0


@pytest.mark.parametrize("script", ["", "import sys; sys.exit('squeue failed')", "print('')", "print('never')"])
def test_a_scheduler_that_cannot_say_leaves_the_end_as_it_was(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_at = time.time() + 100
    walltime = _walltime(script, ends_at, monkeypatch)
    assert not _asked(walltime)
    assert walltime.ends_at == ends_at


def test_a_question_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "ANSWER_SECONDS", 0.05)
    walltime = _walltime("import time; time.sleep(60)", time.time() + 100, monkeypatch)
    assert not _asked(walltime)
    assert walltime._child is None


def test_each_warning_is_given_once_and_not_for_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    walltime = _walltime("", time.time() + 590, monkeypatch)
    assert walltime.warning() == 0
    walltime.ends_at = time.time() + 59
    assert [walltime.warning(), walltime.warning()] == [1, 0]
    walltime.ends_at = time.time() + 7200
    assert walltime.warning() == 0
    walltime.ends_at = time.time() + 1790
    assert walltime.warning() == 30


def test_a_question_that_cannot_be_asked_is_asked_later() -> None:
    walltime = Walltime(0.0, minutes=_MINUTES, argv=["/nowhere/to/ask"], environment=os.environ)
    assert not walltime.look()
    assert not walltime.look()
    assert walltime.ends_at == 0.0

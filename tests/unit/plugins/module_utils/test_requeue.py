# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session whose record has ended and whose job has not: a requeue, or somebody more urgent, as Slurm tells of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import request, session, stopping, waiting
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.none import NoScheduler


def known(record: rec.Record | None) -> rec.Record:
    assert record is not None
    return record


def wanted() -> request.Request:
    return request.build(session="default", account="me@here", cluster="here", scheduler="none")


class Requeued(NoScheduler):
    """What Slurm answers of a job that was put back into the queue and begun anew."""

    requeues = True
    known = Job("7", PENDING, reason="BeginTime")

    def __init__(self, root: str) -> None:
        super().__init__(root=root)
        self.asked: list[str] = []

    def query(self, job_id: str) -> Job:
        self.asked.append("query")
        return replace(self.known, job_id=job_id)

    def find(self, name: str) -> list[Job]:
        self.asked.append("find")
        return [self.known] if name and self.known.phase != GONE else []

    def restarts(self, job_id: str) -> int:
        return 1 if job_id == self.known.job_id else 0

    def cancel(self, job_id: str) -> None:
        raise AssertionError(job_id)


class Clock:
    """Time that passes only while somebody sleeps, and what happens then."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], object]] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [each for each in self.at if each <= self.now]:
            self.at.pop(moment)()


@pytest.fixture(name="requeued")
def _requeued(tmp_path: Path) -> tuple[Layout, Requeued]:
    """An account whose session's supervisor has written an end long ago."""
    layout = Layout(str(tmp_path))
    path = layout.session("default").record
    os.makedirs(os.path.dirname(path))
    for needed in (layout.job_script, layout.command, layout.environment_script):
        Path(needed).touch()
    ready = rec.Record("default", "here", "me@here", "slurm", generation=1, job_id="7", node="c1")
    rec.write(path, rec.ended(ready, how="stopped", reason="stopped on request"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return layout, Requeued(layout.root)


def test_a_job_that_waits_in_the_queue_again_is_the_session_s_however_long_ago_it_ended(
    requeued: tuple[Layout, Requeued]
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record
    assert session.look(layout, "default", scheduler).state == rec.QUEUED
    assert known(rec.read(path)).state == rec.ENDED
    assert stopping.decide_stop(layout, "default", scheduler)[1] == ["7"]
    assert session.find_or_submit(wanted(), layout, scheduler).changed is False
    kept = known(rec.read(path))
    assert (kept.state, kept.generation, kept.job_id, kept.how, kept.node) == (rec.SUBMITTED, 1, "7", "", "")


def test_a_launch_leaves_the_job_that_was_begun_anew_and_has_not_taken_its_session_up_yet(
    requeued: tuple[Layout, Requeued]
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record
    scheduler.known = Job("7", RUNNING, node="c2")
    seen = session.look(layout, "default", scheduler)
    assert (seen.state, known(seen.record).node) == (rec.STARTING, "c2")
    done = session.find_or_submit(wanted(), layout, scheduler)
    assert (done.changed, done.after.state, known(rec.read(path)).state) == (False, rec.STARTING, rec.SUBMITTED)


def test_a_launch_asks_for_the_job_once_where_its_name_finds_it(
    requeued: tuple[Layout, Requeued]
) -> None:
    layout, scheduler = requeued
    session.find_or_submit(wanted(), layout, scheduler)
    assert scheduler.asked == ["find"]


@pytest.mark.parametrize(("how", "reason"), [("finished", "shut down"), ("stopped", "stopped by its owner")])
def test_nobody_is_asked_about_a_job_that_nothing_brings_back(
    requeued: tuple[Layout, Requeued], how: str, reason: str
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record
    rec.write(path, rec.ended(known(rec.read(path)), how=how, reason=reason))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert session.look(layout, "default", scheduler).state == rec.ENDED
    assert scheduler.asked == []


def test_a_stop_says_so_after_a_supervisor_that_was_only_told_to_end(
    requeued: tuple[Layout, Requeued]
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record
    scheduler.known = Job("7", GONE)
    for _each in range(2):
        stopping.stop(layout, "default", scheduler, seconds=5)
        assert (known(rec.read(path)).how, known(rec.read(path)).reason) == ("stopped", "stopped by its owner")


def test_waiting_outlasts_a_job_that_takes_long_to_end_before_it_is_queued_again(
    requeued: tuple[Layout, Requeued], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = requeued
    monkeypatch.setattr(waiting, "_ENDING_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "_ENDING_PAUSE_SECONDS", 0.01)
    phases = [ENDING] * 5
    monkeypatch.setattr(scheduler, "query", lambda job_id: Job(job_id, phases.pop() if phases else PENDING))
    assert session.wait(layout, "default", scheduler, seconds=0.5).state == rec.QUEUED


@pytest.fixture(name="queued")
def _queued(requeued: tuple[Layout, Requeued]) -> rec.Record:
    """The record of the account's session, whose job waits in the queue."""
    path = requeued[0].session("default").record
    record = replace(known(rec.read(path)), state=rec.SUBMITTED, how="", job_id="7")
    rec.write(path, record)
    return record


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of those who wait."""
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.mark.usefixtures("queued")
def test_ten_minutes_in_the_queue_are_twenty_questions(
    requeued: tuple[Layout, Requeued], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = requeued
    monkeypatch.setattr(waiting, "age_seconds", lambda path: clock.now)
    for seconds in (5.0, *[120.0] * 4, 115.0):
        assert session.wait(layout, "default", scheduler, seconds=seconds).state == rec.QUEUED
    assert clock.now == pytest.approx(600, abs=1)
    assert 10 <= len(scheduler.asked) <= 20


def test_a_start_after_hours_in_the_queue_is_seen_at_once(
    requeued: tuple[Layout, Requeued], queued: rec.Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record
    monkeypatch.setattr(waiting, "age_seconds", lambda path: 7200.0)
    clock.at[50.0] = lambda: rec.write(path, replace(queued, state=rec.READY))
    scheduler.known = Job("7", RUNNING)
    assert session.wait(layout, "default", scheduler, seconds=120).state == rec.READY
    assert 50 <= clock.now < 51


def test_jupyter_that_starts_is_watched_closely_at_first(
    requeued: tuple[Layout, Requeued], queued: rec.Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record
    scheduler.known = Job("7", RUNNING)
    monkeypatch.setattr(waiting, "age_seconds", lambda path: 7200.0)
    for begins, late in ((clock.now, 0.05), (clock.now + 20.0, 0.12)):
        clock.now = begins
        rec.write(path, replace(queued, state=rec.STARTING))
        at = begins + (2.0 if late < 0.1 else 10.0)
        clock.at[at] = lambda: rec.write(path, replace(queued, state=rec.READY))
        assert session.wait(layout, "default", scheduler, seconds=120).state == rec.READY
        assert clock.now - at < late


def test_who_has_just_looked_need_not_look_again(requeued: tuple[Layout, Requeued], queued: rec.Record) -> None:
    layout, scheduler = requeued
    seen = session.look(layout, queued.session, scheduler)
    scheduler.asked.clear()
    assert session.wait(layout, queued.session, scheduler, seconds=0, seen=seen) == seen
    assert scheduler.asked == []


def test_a_start_while_the_scheduler_is_asked_is_seen_at_once(
    requeued: tuple[Layout, Requeued], queued: rec.Record, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = requeued
    path = layout.session("default").record

    def age(_path: str) -> float:
        scheduler.known = Job("7", RUNNING)
        rec.write(path, replace(queued, state=rec.READY))
        return 7200.0

    monkeypatch.setattr(waiting, "age_seconds", age)
    assert session.wait(layout, "default", scheduler, seconds=120).state == rec.READY
    assert clock.now == 0


@pytest.mark.usefixtures("queued", "clock")
@pytest.mark.parametrize("age", [0.0, OSError(30, "Read-only file system")])
def test_a_disk_that_tells_no_time_makes_nobody_ask_more_often(
    requeued: tuple[Layout, Requeued], monkeypatch: pytest.MonkeyPatch, age: float | OSError
) -> None:
    layout, scheduler = requeued

    def told(_path: str) -> float:
        if isinstance(age, OSError):
            raise age
        return age

    monkeypatch.setattr(waiting, "age_seconds", told)
    assert session.wait(layout, "default", scheduler, seconds=600).state == rec.QUEUED
    assert len(scheduler.asked) <= 20

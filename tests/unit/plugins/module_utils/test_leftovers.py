# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import leftovers, node, session, words
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError, SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Inside,
    Job,
    Order,
    Scheduler,
    Surroundings,
)

LONG_AGO = 1_700_000_000


class _Told(Scheduler):
    """A scheduler whose jobs a test writes down: the session's name and the job of each."""

    name = "slurm"

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[tuple[str, Job]] = []
        self.trouble = ""
        self.cancelled: list[str] = []

    def inside(self, around: Surroundings) -> Inside:
        raise AssertionError(around)

    def submit(self, order: Order) -> str:
        raise AssertionError(order)

    def query(self, job_id: str) -> Job:
        return next((job for _name, job in self.sessions() if job.job_id == job_id), Job(job_id, GONE))

    def find(self, name: str) -> list[Job]:
        return [job for each, job in self.sessions() if name.startswith(f"hpc-jupyter-{each}-")]

    def sessions(self) -> list[tuple[str, Job]]:
        if self.trouble:
            raise SchedulerUnavailable(self.trouble)
        return list(self.jobs)

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)
        self.jobs = [each for each in self.jobs if each[1].job_id != job_id]


@pytest.fixture(name="layout")
def _layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """An account's directory; what is made in a temporary directory is made in one of the test's own."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "root" / "sessions").mkdir(parents=True)
    monkeypatch.setattr(node, "temporary_directories", lambda _environment: [str(tmp_path / "tmp")])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    return Layout(str(tmp_path / "root"))


@pytest.fixture(name="scheduler")
def _scheduler() -> _Told:
    return _Told()


def have(layout: Layout, name: str = "a", *, state: str = rec.READY, job_id: str = "17", how: str = "") -> str:
    """A session's directory with its record; returns the directory."""
    files = layout.session(name)
    os.mkdir(files.path, 0o700)
    rec.write(files.record, rec.Record(name, "lab", "me@lab", "slurm", 1, state, how, job_id=job_id))
    return files.path


def make(path: Path, content: str = "x", *, old: bool = True) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    if old:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return str(path)


def landing(layout: Layout, name: str = "a") -> str:
    """A directory for the way back of a session."""
    place = Path(layout.root).parent / "tmp" / f"hpcl-{name}"
    make(place / "landing", layout.session(name).path)
    return str(place)


def found(layout: Layout, scheduler: Scheduler) -> leftovers.Found:
    views = {name: leftovers.see(layout, name, scheduler, account="me@lab", cluster="lab")
             for name in session.names(layout)}
    return leftovers.find(layout, scheduler, views)


def told(layout: Layout, scheduler: Scheduler) -> list[tuple[str, str]]:
    return [(each.kind, each.where) for each in found(layout, scheduler).leftovers]


def removed(layout: Layout, scheduler: Scheduler, *, only: list[str] | None = None) -> list[str]:
    views = {name: leftovers.see(layout, name, scheduler, account="me@lab", cluster="lab")
             for name in session.names(layout)}
    return [each.where for each in leftovers.remove(layout, scheduler, views, only=only)]


def below(layout: Layout) -> list[str]:
    top = Path(layout.root).parent
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.name != "record.json")


def test_an_account_in_order_has_none(layout: Layout, scheduler: _Told) -> None:
    have(layout)
    scheduler.jobs = [("a", Job("17", RUNNING, node="c1"))]
    landing(layout)
    before = below(layout)
    assert found(layout, scheduler) == leftovers.Found(())
    assert removed(layout, scheduler) == []
    assert below(layout) == before


@pytest.mark.parametrize(
    ("job", "state", "said"),
    [
        (Job("18", RUNNING, node="c1"), "", "job 18 of session a (running on c1): no record knows it"),
        (Job("18", PENDING), rec.READY, "job 18 of session a (pending): the session's record is of job 17"),
        (Job("18", RUNNING), rec.INTENDED, "job 18 of session a (running): its submit was cut off; a launch joins it"),
        (Job("17", RUNNING), rec.ENDED, "job 17 of session a (running): its session has ended (stopped)"),
        (Job("17", RUNNING), rec.READY, ""),
        (Job("18", ENDING), "", ""),
    ],
)
def test_jobs_that_no_record_knows_are_told_and_left_to_stop(
    layout: Layout, scheduler: _Told, job: Job, state: str, said: str
) -> None:
    if state:
        files = have(layout, state=state, job_id="" if state == rec.INTENDED else "17",
                     how="stopped" if state == rec.ENDED else "")
        os.utime(os.path.join(files, "record.json"), (LONG_AGO, LONG_AGO))
    scheduler.jobs = [("a", job), ("not a name!", job)]
    seen = [each for each in found(layout, scheduler).leftovers if each.kind == "job"]
    assert [each.what for each in seen] == ([said] if said else [])
    assert [words.leftover_line({"kind": "job", "what": each.what}) for each in seen] == ([said] if said else [])
    assert job.job_id not in removed(layout, scheduler)
    assert scheduler.cancelled == []


def test_what_an_ended_session_left_is_removed_once(layout: Layout, scheduler: _Told) -> None:
    path, place = have(layout, state=rec.ENDED, how="time limit"), landing(layout)
    other = have(layout, "b")
    scheduler.jobs = [("b", Job("17", RUNNING))]
    assert told(layout, scheduler) == [("landing", place), ("session", path)]
    assert removed(layout, scheduler, only=[place]) == [place]
    assert removed(layout, scheduler) == [path]
    assert removed(layout, scheduler) == []
    assert below(layout) == ["root", "root/sessions", "root/sessions/b", "tmp"]
    assert os.path.isdir(other)


def test_a_session_that_may_come_back_from_the_queue_stays_for_a_while(layout: Layout, scheduler: _Told) -> None:
    path = have(layout, state=rec.ENDED, how="failed")
    assert told(layout, scheduler) == []
    os.utime(layout.session("a").record, (LONG_AGO, LONG_AGO))
    assert told(layout, scheduler) == [("session", path)]


@pytest.mark.parametrize("kind", ["a job", "a silent scheduler", "a launch", "a newer record"])
def test_what_may_be_in_use_stays(layout: Layout, scheduler: _Told, kind: str) -> None:
    have(layout, state=rec.ENDED, how="stopped")
    landing(layout)
    if kind == "a job":
        scheduler.jobs = [("a", Job("17", PENDING))]
    elif kind == "a silent scheduler":
        scheduler.trouble = "squeue did not answer"
    elif kind == "a launch":
        make(Path(layout.session("a").lock), json.dumps({"host": os.uname().nodename, "pid": os.getpid()}), old=False)
    else:
        make(Path(layout.session("a").record), '{"schema": 99, "version": "9.0.0"}')
    before = below(layout)
    assert [each for each in told(layout, scheduler) if each[0] != "job"] == []
    assert found(layout, scheduler).untold == scheduler.trouble
    assert removed(layout, scheduler) == []
    assert below(layout) == before


def test_a_scheduler_that_has_not_answered_once_is_not_asked_again(layout: Layout, scheduler: _Told) -> None:
    have(layout)
    scheduler.trouble = "squeue did not answer"
    views = {"a": leftovers.see(layout, "a", scheduler, account="me@lab", cluster="lab")}
    scheduler.trouble = "asked again"
    assert leftovers.find(layout, scheduler, views) == leftovers.Found((), untold="squeue did not answer")


def test_a_session_that_begins_between_the_look_and_the_removal_stays(layout: Layout, scheduler: _Told) -> None:
    path, place = have(layout, state=rec.ENDED, how="stopped"), landing(layout)
    views = {"a": leftovers.see(layout, "a", scheduler, account="me@lab", cluster="lab")}
    listed, calls = scheduler.sessions, []

    def later() -> list[tuple[str, Job]]:
        calls.append(1)
        return listed() if len(calls) == 1 else [("a", Job("18", PENDING))]

    scheduler.sessions = later  # type: ignore[method-assign]
    assert leftovers.remove(layout, scheduler, views) == []
    assert os.path.isdir(path)
    assert os.path.isdir(place)


def test_what_killed_processes_left_is_removed(layout: Layout, scheduler: _Told) -> None:
    path = Path(have(layout))
    scheduler.jobs = [("a", Job("17", RUNNING))]
    with subprocess.Popen(["true"]) as gone:
        pass
    make(path.parents[2] / "tmp" / "hpcj-1" / "session", f"{gone.pid}\n{path}\n")
    place = path.parents[2] / "tmp" / "hpcj-window-1"
    make(place / "order.json", json.dumps({"argv": ["job.sh", str(path), "1"]}))
    os.utime(place, (LONG_AGO, LONG_AGO))
    make(path / "lock", json.dumps({"host": os.uname().nodename, "pid": gone.pid}), old=False)
    for name in (".new-abc", ".clock-abc", "lock.0123456789abcdef"):
        make(path / name)
        make(path / f"{name}0", old=False)
    (Path(layout.root) / ".removed-1").mkdir()
    kinds = [kind for kind, _where in told(layout, scheduler)]
    assert kinds == ["lock", "node", "window", "file", "file", "file", "file"]
    assert len(removed(layout, scheduler)) == 7
    assert told(layout, scheduler) == []
    assert below(layout) == [
        "root", "root/sessions", "root/sessions/a", "root/sessions/a/.clock-abc0", "root/sessions/a/.new-abc0",
        "root/sessions/a/lock.0123456789abcdef0", "tmp",
    ]  # fmt: skip


def _link(path: Path, aside: Path) -> None:
    path.rename(aside)
    path.symlink_to(aside)


def _other_session(path: Path, _aside: Path) -> None:
    marker = path / "landing"
    if marker.exists():
        make(marker, "/home/other/sessions/a")


@pytest.mark.parametrize("change", [_link, _other_session])
def test_what_is_not_ours_stays(
    layout: Layout, scheduler: _Told, tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    place = landing(layout, "gone")
    change(Path(place), tmp_path / "aside")
    before = below(layout)
    assert told(layout, scheduler) == []
    assert removed(layout, scheduler) == []
    assert below(layout) == before


def test_a_directory_of_another_user_is_not_even_told(
    layout: Layout, scheduler: _Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(layout, state=rec.ENDED, how="stopped")
    landing(layout)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert told(layout, scheduler) == []
    assert removed(layout, scheduler) == []


def test_all_that_runs_is_stopped_with_or_without_a_record(layout: Layout, scheduler: _Told) -> None:
    have(layout)
    have(layout, "over", state=rec.ENDED, job_id="3", how="stopped")
    scheduler.jobs = [("a", Job("17", RUNNING)), ("lost", Job("18", PENDING)), ("lost", Job("19", PENDING))]
    assert leftovers.stop_all(layout, scheduler, seconds=5) == ["a", "lost"]
    assert scheduler.cancelled == ["17", "18", "19"]
    assert leftovers.stop_all(layout, scheduler, seconds=5) == []
    record = rec.read(layout.session("a").record)
    assert record == replace(record or rec.Record("", "", "", ""), state=rec.ENDED, how="stopped")


def test_an_account_that_was_never_set_up_has_nothing_to_stop(tmp_path: Path, scheduler: _Told) -> None:
    scheduler.trouble = "there is no squeue"
    assert leftovers.stop_all(Layout(str(tmp_path / "none")), scheduler, seconds=5) == []


def test_a_session_that_cannot_be_stopped_does_not_keep_the_others(
    layout: Layout, scheduler: _Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler.jobs = [("a", Job("17", RUNNING)), ("b", Job("18", RUNNING))]
    cancel = scheduler.cancel
    monkeypatch.setattr(scheduler, "cancel", lambda job_id: None if job_id == "17" else cancel(job_id))
    with pytest.raises(HpcJupyterError) as told_of:
        leftovers.stop_all(layout, scheduler, seconds=0)
    assert str(told_of.value) == (
        "session a: job 17 was cancelled but is still running after 0 seconds; these were stopped: b"
    )

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes on a machine without a scheduler; the job script here only plays a supervisor that never answers."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import (
    lock,
    node,
    request,
    session,
    stopping,
    submitting,
    wishes,
)
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, NotSetUp, SubmitRefused
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name, lsf
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Job,
    Scheduler,
)

JOB = """#!/bin/sh
trap 'exit 0' TERM
echo "hello from the job"
{end}
"""


@pytest.fixture(name="account")
def _account(tmp_path: Path) -> Iterator[tuple[Layout, Scheduler]]:
    layout = Layout.at(str(tmp_path / "root"))
    os.makedirs(layout.root)
    write_job(layout, end="while :; do sleep 0.05; done")
    for path in (layout.command, layout.environment_script):
        with open(path, "w", encoding="utf-8"):
            pass
    scheduler = by_name("none", root=layout.root)
    yield layout, scheduler
    stopping.stop(layout, "default", scheduler, seconds=30)


def write_job(layout: Layout, *, end: str) -> None:
    with open(layout.job_script, "w", encoding="utf-8") as stream:
        stream.write(JOB.format(end=end))
    os.chmod(layout.job_script, 0o755)


def known(record: rec.Record | None) -> rec.Record:
    assert record is not None
    return record


def wanted(**values: Any) -> request.Request:
    return request.build(session="default", account="me@here", cluster="here", scheduler="none", **values)


def test_a_second_launch_finds_the_first(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    first = session.find_or_submit(wanted(), layout, scheduler)
    second = session.find_or_submit(wanted(), layout, scheduler)
    assert (first.changed, second.changed) == (True, False)
    assert known(first.after.record).job_id == known(second.after.record).job_id
    assert len(scheduler.find(session.job_name("default", layout))) == 1


def test_two_launches_at_once_make_one_job(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    outcomes = []
    launches = [
        threading.Thread(target=lambda: outcomes.append(session.find_or_submit(wanted(), layout, scheduler)))
        for _each in range(3)
    ]
    for launch in launches:
        launch.start()
    for launch in launches:
        launch.join(timeout=60)
    assert sorted(outcome.changed for outcome in outcomes) == [False, False, True]
    assert len(scheduler.find(session.job_name("default", layout))) == 1


def test_secrets_are_private_fresh_and_not_in_the_answer(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    files = layout.session("default")
    tokens = []
    for _each in range(2):
        answer = str(session.find_or_submit(wanted(), layout, scheduler).after.to_dict())
        with open(files.token, encoding="ascii") as stream:
            tokens.append(stream.read())
        assert tokens[-1] not in answer
        stopping.stop(layout, "default", scheduler, seconds=30)
    assert [len(token) for token in tokens] == [43, 43]
    assert tokens[0] != tokens[1]
    assert os.stat(files.cookie_secret).st_size == 64
    assert stat.S_IMODE(os.stat(files.path).st_mode) == 0o700
    modes = {name: stat.S_IMODE(os.stat(os.path.join(files.path, name)).st_mode) for name in os.listdir(files.path)}
    assert set(modes.values()) == {0o600}, modes


def test_a_launch_that_was_cut_off_after_the_submit_is_found_by_name(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    path = layout.session("default").record
    rec.write(path, replace(first, state=rec.INTENDED, job_id=""))
    again = session.find_or_submit(wanted(), layout, scheduler)
    assert known(again.after.record).job_id == first.job_id
    assert len(scheduler.find(session.job_name("default", layout))) == 1


def test_a_launch_that_was_cut_off_before_the_submit_is_made_good(
    account: tuple[Layout, Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = account
    monkeypatch.setattr(scheduler, "unclear_seconds", lambda: 1.0)
    path = layout.session("default").record
    os.makedirs(layout.session("default").path)
    rec.write(path, rec.Record("default", "here", "me@here", "none", generation=4))
    done = session.find_or_submit(wanted(), layout, scheduler)
    assert (done.changed, known(done.after.record).generation) == (True, 5)


def test_a_cleaning_that_takes_the_directory_from_a_launch_or_a_stop_fails_neither(
    account: tuple[Layout, Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = account
    take, files = lock._take, layout.session("default")

    def cleaned(path: str, own: str) -> bool:
        monkeypatch.setattr(lock, "_take", take)
        shutil.rmtree(files.path)
        return take(path, own)

    monkeypatch.setattr(lock, "_take", cleaned)
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    assert [job.job_id for job in scheduler.find(session.job_name("default", layout))] == [first.job_id]
    monkeypatch.setattr(lock, "_take", cleaned)
    assert stopping.stop(layout, "default", scheduler, seconds=30).changed is True
    assert scheduler.find(session.job_name("default", layout)) == []


def test_a_job_without_a_record_is_adopted(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    os.unlink(layout.session("default").record)
    adopted = session.find_or_submit(wanted(), layout, scheduler)
    assert known(adopted.after.record).job_id == first.job_id
    assert len(scheduler.find(session.job_name("default", layout))) == 1


def test_a_stopped_session_is_gone_and_stopping_again_changes_nothing(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    session.find_or_submit(wanted(), layout, scheduler)
    done = stopping.stop(layout, "default", scheduler, seconds=30)
    assert (done.changed, known(done.after.record).state, known(done.after.record).how) == (True, rec.ENDED, "stopped")
    assert scheduler.find(session.job_name("default", layout)) == []
    assert stopping.stop(layout, "default", scheduler, seconds=30).changed is False


def test_waiting_ends_when_the_job_dies(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    write_job(layout, end="sleep 0.5; exit 3")
    session.find_or_submit(wanted(), layout, scheduler)
    began = time.monotonic()
    seen = session.wait(layout, "default", scheduler, seconds=30)
    assert (seen.state, known(seen.record).how) == (rec.ENDED, "lost")
    assert time.monotonic() - began < 20
    assert known(rec.read(layout.session("default").record)).state == rec.ENDED


def test_waiting_leaves_what_is_still_starting(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    session.find_or_submit(wanted(), layout, scheduler)
    assert session.wait(layout, "default", scheduler, seconds=0.5).state == rec.STARTING


def test_the_scheduler_is_not_asked_for_what_a_starting_session_says_besides(
    account: tuple[Layout, Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = account
    session.find_or_submit(wanted(), layout, scheduler)
    path, query = layout.session("default").record, scheduler.query
    asked: list[str] = []

    def spied(job_id: str) -> Job:
        asked.append(job_id)
        rec.update(path, lambda latest: replace(known(latest), socket="/tmp/hpcj-x/s"))
        return query(job_id)

    monkeypatch.setattr(scheduler, "query", spied)
    assert session.wait(layout, "default", scheduler, seconds=0.25).state == rec.STARTING
    assert len(asked) == 2  # at first, and at the end


def test_a_refused_job_says_so_in_the_record_too(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    os.chmod(layout.job_script, 0o600)
    with pytest.raises(SubmitRefused, match=r"/job\.sh on .* is missing or cannot be executed"):
        session.find_or_submit(wanted(), layout, scheduler)
    kept = known(rec.read(layout.session("default").record))
    assert (kept.state, kept.how) == (rec.ENDED, "failed")


def test_an_account_that_was_never_set_up_is_told_how(tmp_path: Path) -> None:
    layout = Layout.at(str(tmp_path))
    with pytest.raises(NotSetUp) as caught:
        session.find_or_submit(wanted(), layout, by_name("none", root=layout.root))
    assert str(caught.value) == (
        f"me@here is not set up: {tmp_path}/job.sh is missing. "
        "Run: hpc-jupyter setup me@here (or: ansible-playbook hpc.jupyter.setup --limit me@here)"
    )
    assert os.listdir(tmp_path) == []


def test_the_way_back_is_refused_where_there_is_no_node(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    with pytest.raises(BadInput) as caught:
        session.find_or_submit(wanted(offer="reverse"), layout, scheduler)
    assert str(caught.value) == (
        "offer: 'reverse' needs a node of its own, and sessions run on the login host here. "
        "Leave hpc_route at auto or node"
    )


@pytest.mark.parametrize(("offer", "directory"), [("socket", False), ("lan", False), ("reverse", True)])
def test_a_submit_names_the_login_host_that_it_was_made_on(
    account: tuple[Layout, Scheduler], monkeypatch: pytest.MonkeyPatch, offer: str, directory: bool
) -> None:
    """The job itself is a process: only what the submit writes is looked at, as for a scheduler with nodes."""
    layout, scheduler = account
    monkeypatch.setattr(node, "host_keys", lambda: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"])
    monkeypatch.setattr(scheduler, "name", "slurm")
    session.find_or_submit(wanted(offer=offer), layout, scheduler)
    made, files = known(rec.read(layout.session("default").record)), layout.session("default")
    assert (made.login_host, made.offer) == (socket.gethostname(), offer)
    assert made.login_host_keys == ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"]
    wish = wishes.read(files.wish)
    assert wish is not None
    assert (wish.id, wish.generation, wish.want, bool(wish.landing)) == ("", 1, "", directory)
    place = wish.landing.directory if wish.landing else ""
    assert os.path.isdir(place) is directory
    stopping.stop(layout, "default", scheduler, seconds=30)
    assert not os.path.isdir(place)


def test_a_start_directory_must_exist(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    with pytest.raises(BadInput, match=r"^directory: /nowhere is not a directory on "):
        session.find_or_submit(wanted(directory="/nowhere"), layout, scheduler)
    assert not os.path.exists(layout.sessions)


def test_accounts_on_one_scheduler_do_not_share_jobs(tmp_path: Path) -> None:
    names = {session.job_name("default", Layout.at(str(tmp_path / cluster))) for cluster in ("cori", "cori-gpu")}
    assert len(names) == 2


def test_an_answer_about_an_older_generation_does_not_end_the_new_one(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    path = layout.session("default").record

    class Late(type(scheduler)):  # type: ignore[misc]
        """The first answer comes when somebody else has launched the session anew."""

        def query(self, job_id: str) -> Job:
            record = known(rec.read(path))
            if record.generation == first.generation:
                rec.write(path, replace(record, generation=record.generation + 1, job_id="9.default@elsewhere"))
                return Job(job_id, GONE)
            return Job(job_id, RUNNING)

    seen = session.look(layout, "default", Late(root=layout.root))
    assert (known(seen.record).generation, seen.state) == (first.generation + 1, rec.STARTING)
    rec.write(path, first)


@pytest.mark.parametrize(
    ("pid", "how", "seconds_ago", "state"),
    [(0, "", 1, rec.UNKNOWN), (0, "", 31, rec.ENDED), (7, "", 1, rec.ENDED), (0, "failed", 1, rec.ENDED)],
)
def test_a_job_that_is_too_new_to_be_known_is_not_lost(
    account: tuple[Layout, Scheduler], pid: int, how: str, seconds_ago: int, state: str
) -> None:
    layout, scheduler = account
    path = layout.session("default").record
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)

    class Busy(type(scheduler)):  # type: ignore[misc]
        """What LSF answers from an older picture."""

        settling_seconds = lsf.Lsf.settling_seconds

        def query(self, job_id: str) -> Job:
            return Job(job_id, GONE, how=how)

        def find(self, name: str) -> list[Job]:  # noqa: ARG002 - it knows none of them
            return []

    rec.write(path, replace(first, state=rec.SUBMITTED, pid=pid))
    os.utime(path, (time.time() - seconds_ago,) * 2)
    seen = session.look(layout, "default", Busy(root=layout.root))
    assert seen.state == state
    if state == rec.UNKNOWN:
        assert known(seen.record).reason == f"none does not show job {first.job_id} yet. Try again in a moment"
        assert session.wait(layout, "default", Busy(root=layout.root), seconds=0.1).state == rec.UNKNOWN
        assert session.find_or_submit(wanted(), layout, Busy(root=layout.root)).changed is False
        assert known(rec.read(path)).state == rec.SUBMITTED
    rec.write(path, first)


def test_a_session_that_has_ended_on_another_machine_is_in_nobodys_way(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    path = layout.session("default").record
    os.makedirs(os.path.dirname(path))
    there = rec.Record("default", "here", "me@here", "none", generation=1, job_id="9.default@elsewhere")
    rec.write(path, rec.ended(there, how="stopped", reason="stopped on request"))
    assert session.look(layout, "default", scheduler).state == rec.ENDED
    assert session.find_or_submit(wanted(), layout, scheduler).changed is True


def test_waiting_sees_a_job_that_is_put_back_into_the_queue_when_it_seems_to_end(
    account: tuple[Layout, Scheduler],
) -> None:
    layout, scheduler = account
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    path = layout.session("default").record
    rec.write(path, rec.ended(first, how="stopped", reason="stopped on request"))
    phases = [RUNNING, ENDING, ENDING]

    class Ending(type(scheduler)):  # type: ignore[misc]
        """What Slurm answers while a requeued job ends."""

        requeues = True

        def query(self, job_id: str) -> Job:
            return Job(job_id, phases.pop(0) if phases else PENDING, reason="BeginTime")

    assert session.wait(layout, "default", Ending(root=layout.root), seconds=0.5).state == rec.QUEUED
    rec.write(path, first)


def test_a_stop_waits_for_the_job_of_a_submit_that_was_cut_off(
    account: tuple[Layout, Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = account
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    rec.write(layout.session("default").record, replace(first, state=rec.INTENDED, job_id=""))
    find, unseen = scheduler.find, [1, 2, 3]
    monkeypatch.setattr(scheduler, "find", lambda name: [] if unseen and unseen.pop() else find(name))
    done = stopping.stop(layout, "default", scheduler, seconds=30)
    assert (done.changed, known(done.after.record).how) == (True, "stopped")
    assert find(session.job_name("default", layout)) == []


def test_a_job_that_claims_after_a_launch_has_decided_is_kept(
    account: tuple[Layout, Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, scheduler = account
    first = known(session.find_or_submit(wanted(), layout, scheduler).after.record)
    path, find, query = layout.session("default").record, scheduler.find, scheduler.query
    rec.write(path, rec.ended(first, how="lost", reason="the job is gone"))
    monkeypatch.setattr(scheduler, "find", lambda _name: [])
    monkeypatch.setattr(scheduler, "query", lambda job_id: Job(job_id, GONE))

    def claimed(_directory: str) -> None:
        rec.write(path, replace(first, state=rec.STARTING))
        monkeypatch.setattr(scheduler, "find", find)
        monkeypatch.setattr(scheduler, "query", query)

    monkeypatch.setattr(submitting, "check_room", claimed)
    done = session.find_or_submit(wanted(), layout, scheduler)
    assert (done.changed, known(done.after.record).generation) == (False, first.generation)
    assert [job.job_id for job in find(session.job_name("default", layout))] == [first.job_id]


def test_a_race_ends_only_what_was_submitted_for_it_and_nobody_came_for(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    mine, other = "0" * 16, "1" * 16
    assert not stopping.stop(layout, "default", scheduler, seconds=30, race=mine).changed
    session.find_or_submit(wanted(race=mine), layout, scheduler)
    assert known(session.find_or_submit(wanted(race=other), layout, scheduler).after.record).race == mine
    assert not stopping.stop(layout, "default", scheduler, seconds=30, race=other).changed
    assert stopping.stop(layout, "default", scheduler, seconds=30, race=mine).changed
    session.find_or_submit(wanted(race=mine), layout, scheduler)
    session.find_or_submit(wanted(), layout, scheduler)
    assert not stopping.stop(layout, "default", scheduler, seconds=30, race=mine).changed
    assert len(scheduler.find(session.job_name("default", layout))) == 1


def test_a_job_that_a_race_finds_without_its_record_is_not_the_race_s(account: tuple[Layout, Scheduler]) -> None:
    layout, scheduler = account
    session.find_or_submit(wanted(), layout, scheduler)
    os.unlink(layout.session("default").record)
    assert known(session.find_or_submit(wanted(race="0" * 16), layout, scheduler).after.record).race == ""

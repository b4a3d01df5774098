"""Logging out ends all that would log in again; what a killed login has set aside is found and ended."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import identify

from hpc_jupyter import leftovers
from hpc_jupyter.commands import logout
from hpc_jupyter.context import Context
from tests.cli.conftest import World
from tests.cli.test_leftovers import holder


def gone(pid: int) -> bool:
    """Whether a process that was killed is, in a while."""
    process, deadline = identify(pid), time.monotonic() + 10
    while process.is_alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return not process.is_alive


def _log_in(world: World) -> None:
    assert world.access.log_in(world.connector.progress, interactive=False)


def test_a_connection_that_is_being_mended_ends_too_or_it_would_log_in_again(world: World) -> None:
    with holder(world) as (process, _held):
        world.stop_sshd()
        ssh.close_master(world.access.files)
        assert logout.run(Context(), []).lines() == [
            "Logged out of me@lab; its connection to default ended with that, the session goes on"
        ]
        assert process.wait(timeout=10) != 0
    world.start_sshd()
    assert logout.run(Context(), []).lines() == ["This computer is not logged in anywhere"]


@pytest.fixture
def aside(world: World) -> int:
    """The master that a login has set aside before it was killed."""
    _log_in(world)
    files = world.access.files
    pid = ssh.master_pid(files.control)
    os.rename(files.control, files.former)
    return pid


def _by_logout(_world: World) -> None:
    assert logout.run(Context(), []).lines() == ["Logged out of me@lab"]


def _by_clean(_world: World) -> None:
    [found] = leftovers.find("me@lab")
    assert found.what == "a login connection that a login which was killed has set aside"
    assert leftovers.remove("me@lab", found)
    assert leftovers.find("me@lab") == []


@pytest.mark.rows("F25")
@pytest.mark.parametrize("end", [_by_logout, _by_clean, _log_in])
def test_a_login_that_was_set_aside_by_one_that_was_killed_ends(
    world: World, aside: int, end: Callable[[World], None]
) -> None:
    files = world.access.files
    end(world)
    assert gone(aside)
    assert not os.path.lexists(files.former)
    assert os.path.lexists(files.control) is (end is _log_in)


def test_one_that_was_set_aside_takes_no_successor_along(world: World, aside: int) -> None:
    """That of a login which went on after its parent was killed."""
    files = world.access.files
    kept = f"{files.former}.kept"
    os.rename(files.former, kept)
    _log_in(world)
    os.rename(kept, files.former)
    [found] = leftovers.find("me@lab")
    assert leftovers.remove("me@lab", found)
    assert gone(aside)
    assert world.access.carries()


def test_a_login_that_somebody_makes_just_now_is_not_overlooked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_CLOSE_SECONDS", 0.1)
    _log_in(world)
    with Path(world.access.files.lock).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy) as told:
            logout.run(Context(), ["me@lab"])
    assert str(told.value) == "me@lab: another process is still logging in. Wait for it"


def test_a_connection_that_has_ended_before_a_login_stood_in_the_way_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_CLOSE_SECONDS", 0.1)
    with holder(world) as (process, _held), Path(world.access.files.lock).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy) as told:
            logout.run(Context(), ["me@lab"])
        assert process.wait(timeout=10) != 0
    assert str(told.value) == (
        "me@lab: another process is still logging in. Wait for it. The connection to default has ended already; "
        "the session goes on"
    )


def test_who_has_waited_for_anothers_login_has_time_for_an_own_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []
    monkeypatch.setattr(ssh, "_log_in", lambda *_, seconds, **__: left.append(seconds))
    files = world.access.files
    with Path(files.lock).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        threading.Timer(1.0, fcntl.flock, (lock.fileno(), fcntl.LOCK_UN)).start()
        assert ssh.open_master(replace(world.cluster, root=""), files, timeout_seconds=5.0)
    assert left[0] > 4.5

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import lock
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy


def test_a_held_lock_keeps_others_out_and_names_its_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, second = (lock.held(path, wait_seconds=0, what="session default") for _each in range(2))
    with first, pytest.raises(Busy) as caught, second:  # pylint: disable=confusing-with-statement
        pass
    assert str(caught.value) == (
        f"session default is being changed by process {os.getpid()} on {socket.gethostname()}; "
        "try again when that is done"
    )
    assert not os.path.exists(path)


def test_the_lock_of_a_dead_process_is_broken(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait(timeout=10)
    path = tmp_path / "lock"
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": process.pid}))
    with lock.held(str(path), wait_seconds=0, what="x"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_the_lock_of_another_host_holds_for_its_lease(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with pytest.raises(Busy, match="by process 1 on elsewhere"), lock.held(str(path), wait_seconds=0, what="x"):
        pass
    old = os.stat(path).st_mtime - lock.LEASE_SECONDS - 1
    os.utime(path, (old, old))
    with lock.held(str(path), wait_seconds=0, what="x"):
        pass


def test_a_torn_lock_ends_with_its_lease(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("")
    with pytest.raises(Busy), lock.held(str(path), wait_seconds=0, what="x"):
        pass


def test_a_lease_ends_on_the_same_host_too(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
    old = os.stat(path).st_mtime - lock.LEASE_SECONDS - 1
    os.utime(path, (old, old))
    with lock.held(str(path), wait_seconds=0, what="x"):
        pass


@pytest.mark.parametrize("found", ["fresh", "dead"])
def test_a_fresh_lock_is_not_taken_for_the_dead_one_that_was_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    """It may come before the judged one is looked at again, and after."""
    path, rename, renamed = tmp_path / "lock", os.rename, []
    path.write_text(found)

    def renames(source: str, target: str) -> None:
        path.write_text("fresh")
        renamed.append(source)
        rename(source, target)

    monkeypatch.setattr(os, "rename", renames)
    lock._break(str(path), "dead")
    assert path.read_text() == "fresh"
    assert (os.listdir(tmp_path), len(renamed)) == (["lock"], 0 if found == "fresh" else 1)


def test_a_lock_whose_making_was_not_answered_is_held_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def links(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(target)

    monkeypatch.setattr(os, "link", links)
    path = tmp_path / "lock"
    with lock.held(str(path), wait_seconds=0, what="x"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_only_one_s_own_lock_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.held(str(path), wait_seconds=0, what="x"):
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


def test_a_holder_that_gives_signs_of_life_keeps_its_lock_beyond_the_lease(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.held(str(path), wait_seconds=0, what="x", lease_seconds=0.6):
        before = os.stat(path).st_mtime_ns
        deadline = time.monotonic() + 20
        while os.stat(path).st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert os.stat(path).st_mtime_ns > before
    assert os.listdir(tmp_path) == []


def test_without_room_for_a_thread_the_lock_holds_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", no_room)
    path = str(tmp_path / "lock")
    with lock.held(path, wait_seconds=1, what="it"):
        assert os.path.exists(path)
    assert not os.path.exists(path)

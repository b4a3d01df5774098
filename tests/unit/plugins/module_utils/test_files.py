# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import files


def test_what_a_killed_writer_left_goes_once_it_is_old_and_nothing_else_does(tmp_path: Path) -> None:
    debris = [".new-a1b2", ".clock-x", ".room-probe", "lock.0123456789abcdef", "record.json.writing.0123456789abcdef"]
    kept = ["record.json", "token", "lock", "job.log", "notes.txt"]
    for name in (*debris, *kept):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".new-fresh").touch()
    files.sweep(str(tmp_path), older_than_seconds=600)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, ".new-fresh"])


def test_trying_for_room_leaves_nothing(tmp_path: Path) -> None:
    files.check_room(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_disk_that_does_not_keep_what_is_written_is_an_error_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    monkeypatch.setattr(files, "_content", lambda _path: b"")
    with pytest.raises(OSError, match="the disk did not keep what was written"):
        files.write_private(str(path), b"new")
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["token"])


def test_a_full_disk_tells_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    path.touch()
    os.utime(path, (1, 1))

    def full(**_options: object) -> object:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    assert files.age_seconds(str(path)) == 0.0

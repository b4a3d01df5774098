# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib
import tempfile
from typing import IO

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import account, changes
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION, Layout

FACTS = {"account": "alice@lab", "cluster": "lab", "scheduler": "slurm", "tls": "auto"}


def _layout(path: pathlib.Path) -> Layout:
    return Layout.at(str(path / "share" / "hpc-jupyter" / "lab"))


def test_a_new_account_is_made_private_and_then_left_alone(tmp_path: pathlib.Path) -> None:
    layout = _layout(tmp_path)
    changes.apply([*account.directories(layout, sessions=True), *account.facts_file(layout, FACTS)])
    for path, mode in ((layout.root, 0o700), (layout.server, 0o700), (layout.sessions, 0o700), (layout.account, 0o600)):
        assert os.stat(path).st_mode & 0o777 == mode
    with open(layout.account, encoding="utf-8") as stream:
        assert json.load(stream) == dict(FACTS, schema=1, root=layout.root, version=VERSION)
    assert [*account.directories(layout, sessions=True), *account.facts_file(layout, FACTS)] == []


def test_an_open_directory_is_closed(tmp_path: pathlib.Path) -> None:
    layout = _layout(tmp_path)
    os.makedirs(layout.root, mode=0o755)
    os.chmod(layout.root, 0o755)
    planned = account.directories(layout, sessions=False)
    assert [(each.path, each.before, each.after) for each in planned] == [
        (layout.root, "directory 0755", "directory 0700")
    ]
    changes.apply(planned)
    assert account.directories(layout, sessions=False) == []


def test_the_directories_alone_do_not_look_like_an_account_that_is_set_up(tmp_path: pathlib.Path) -> None:
    layout = _layout(tmp_path)
    changes.apply(account.directories(layout, sessions=True))
    assert sorted(os.listdir(layout.root)) == ["server", "sessions"]


@pytest.mark.parametrize(("root", "problem"), [("", "is empty"), ("work", "'work' is relative")])
def test_a_root_that_depends_on_the_working_directory_is_refused(root: str, problem: str) -> None:
    with pytest.raises(HpcJupyterError) as caught:
        account.layout(root)
    assert str(caught.value) == f"hpc_root: {problem}. Start it with / or ~/, or leave it out"


def test_the_check_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    account.check_usable(_layout(tmp_path), allow_root=True, probe=True)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_refused() -> None:
    with pytest.raises(HpcJupyterError) as caught:
        account.check_usable(Layout("/root/x"), allow_root=False, probe=False)
    assert str(caught.value) == (
        "this account is root: log in to the cluster as the person whose notebooks these will be"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_users_directory_is_refused(tmp_path: pathlib.Path) -> None:
    os.chown(str(tmp_path), 12345, 12345)
    with pytest.raises(HpcJupyterError) as caught:
        account.check_usable(Layout(str(tmp_path)), allow_root=True, probe=True)
    assert str(caught.value) == f"{tmp_path} belongs to another user"


def test_a_file_in_the_way_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "share").write_text("")
    with pytest.raises(HpcJupyterError) as caught:
        account.check_usable(_layout(tmp_path), allow_root=True, probe=True)
    assert str(caught.value) == f"{tmp_path}/share is in the way: it is not a directory"


def _on_a_full_disk(**_options: str) -> IO[bytes]:
    return open("/dev/full", "r+b", buffering=0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_said_in_words(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The device stands in for a full file system; the error is the kernel's own.
    monkeypatch.setattr(tempfile, "TemporaryFile", _on_a_full_disk)
    with pytest.raises(HpcJupyterError) as caught:
        account.check_usable(Layout(str(tmp_path)), allow_root=True, probe=True)
    assert str(caught.value) == (
        f"a file of 4 KiB could not be written in {tmp_path}: No space left on device. Is the disk or the quota full?"
    )

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import shutil

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import made_environment
from ansible_collections.hpc.jupyter.plugins.module_utils.made_environment import MARKER, Marker


def test_clearing_leaves_what_is_no_part_of_it_and_follows_no_link(tmp_path: pathlib.Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "notebook.ipynb").write_text("{}")
    prefix = tmp_path / "venv"
    (prefix / "lib").mkdir(parents=True)
    (prefix / "lib64").symlink_to(kept)
    (prefix / "thesis.tex").write_text("x")
    (prefix / MARKER).write_text("{}")
    made_environment.clear(str(prefix))
    assert os.listdir(str(prefix)) == ["thesis.tex"]
    assert (kept / "notebook.ipynb").exists()


def _make(prefix: pathlib.Path) -> None:
    directories = made_environment.made_for(str(prefix))
    made_environment.write_marker(str(prefix), Marker("a" * 64, directories=directories))
    (prefix / "bin").mkdir(exist_ok=True)


def test_the_directories_that_were_made_for_it_go_with_it(tmp_path: pathlib.Path) -> None:
    prefix = tmp_path / "envs/jupyter/lab"
    _make(prefix)
    _make(prefix)
    (tmp_path / "envs/own").mkdir()
    made_environment.remove(str(prefix))
    assert os.listdir(str(tmp_path / "envs")) == ["own"]


def test_a_directory_that_was_there_is_empty_again(tmp_path: pathlib.Path) -> None:
    _make(tmp_path)
    made_environment.remove(str(tmp_path))
    assert os.listdir(str(tmp_path)) == []


def test_the_marker_goes_last_and_its_users_stay(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(tmp_path)
    (tmp_path / "lib").mkdir()
    made_environment.use(str(tmp_path), "/home/alice/root")

    def cut_off(path: str) -> None:
        raise OSError(path)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", cut_off)
        for end in (made_environment.clear, made_environment.remove):
            with pytest.raises(OSError, match=r"bin|lib"):
                end(str(tmp_path))
    assert made_environment.read_marker(str(tmp_path)) is not None
    assert made_environment.users(str(tmp_path)) == ["/home/alice/root"]
    made_environment.clear(str(tmp_path))
    assert os.listdir(str(tmp_path)) == [made_environment.USERS]
    assert made_environment.users(str(tmp_path)) == ["/home/alice/root"]

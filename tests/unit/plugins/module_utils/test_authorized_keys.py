# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import authorized_keys

_OURS = 'restrict,command="exit 1" ssh-ed25519 AAAAours hpc-jupyter-reverse-cori'
_THEIRS = 'from="10.0.0.0/8",command="echo AAAA x" ssh-rsa AAAAtheirs alice@laptop'


@pytest.mark.parametrize(("before", "after"), [
    ("", f"{_OURS}\n"),
    (f"{_OURS}\n", f"{_OURS}\n"),
    (f"{_THEIRS}\n", f"{_THEIRS}\n{_OURS}\n"),
    (_THEIRS, f"{_THEIRS}\n{_OURS}\n"),
    (f"# mine\n\n{_THEIRS}\n", f"# mine\n\n{_THEIRS}\n{_OURS}\n"),
    (f"ssh-ed25519 AAAAours\n{_THEIRS}\n", f"{_OURS}\n{_THEIRS}\n"),
    (f"{_OURS}\n{_THEIRS}\n{_OURS}\n", f"{_OURS}\n{_THEIRS}\n"),
    (f"# {_OURS}\n", f"# {_OURS}\n{_OURS}\n"),
    (f"{_THEIRS}\r\n", f"{_THEIRS}\r\n{_OURS}\n"),
    ("ssh-ed25519 AAAAoursAndMore bob\n", f"ssh-ed25519 AAAAoursAndMore bob\n{_OURS}\n"),
])
def test_a_line_is_there_once_and_the_others_stay(before: str, after: str) -> None:
    assert authorized_keys.with_line(before, _OURS) == after
    assert authorized_keys.with_line(after, _OURS) == after


@pytest.mark.parametrize(("before", "after"), [
    ("", ""), (f"{_THEIRS}\n{_OURS}\n", f"{_THEIRS}\n"), (f"{_THEIRS}\n", f"{_THEIRS}\n"),
    (f"{_OURS}\n{_OURS}", ""),
])
def test_a_key_s_lines_go_and_the_others_stay(before: str, after: str) -> None:
    assert authorized_keys.without_key(before, "AAAAours") == after
    assert authorized_keys.without_key(before, "") == before


@pytest.mark.parametrize(("mode", "kept"), [(None, 0o600), (0o644, 0o644), (0o666, 0o644), (0o600, 0o600)])
def test_the_file_is_written_whole_with_its_mode(tmp_path: Path, mode: int | None, kept: int) -> None:
    path = tmp_path / ".ssh" / "authorized_keys"
    if mode is not None:
        path.parent.mkdir(0o700)
        path.write_bytes(b"\xff\n")
        path.chmod(mode)
    authorized_keys.write(str(path), authorized_keys.read(str(path)) + "x\n")
    assert path.read_bytes() == (b"\xff\nx\n" if mode is not None else b"x\n")
    assert stat.S_IMODE(path.stat().st_mode) == kept
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["authorized_keys"]


def test_a_link_leads_to_the_file_that_is_changed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to("real")
    assert authorized_keys.target(str(tmp_path / "link")) == str(tmp_path / "real")
    (tmp_path / "link2").symlink_to("new")
    assert authorized_keys.target(str(tmp_path / "link2")) == str(tmp_path / "new")


def test_somebody_else_s_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "authorized_keys"
    path.write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(authorized_keys.Refused) as caught:
        authorized_keys.target(str(path))
    assert str(caught.value) == f"{tmp_path} belongs to another user, so no key was added to it"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "authorized_keys").mkdir()
    with pytest.raises(authorized_keys.Refused) as caught:
        authorized_keys.target(str(tmp_path / "authorized_keys"))
    assert str(caught.value) == f"{tmp_path}/authorized_keys is not a file, so no key was added"

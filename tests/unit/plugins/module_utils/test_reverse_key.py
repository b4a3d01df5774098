# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import authorized_keys, changes, reverse_key
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def _do(layout: Layout, *, present: bool = True, renew: bool = False) -> list[str]:
    """What was done, as the diff shows it."""
    planned = reverse_key.plan(layout, cluster="cori", present=present, renew=renew)
    changes.apply(planned)
    return [f"{change.before}>{change.after}" for change in planned]


def test_the_key_of_the_way_back_and_its_line_are_made_once_and_taken_away(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    layout, keys = Layout(str(tmp_path / "root")), tmp_path / ".ssh" / "authorized_keys"
    (tmp_path / "root").mkdir()
    assert _do(layout) == ["># a new key\n"]
    line = keys.read_text()
    public = reverse_key.public_key(layout.reverse_key)
    assert line == (
        f'restrict,port-forwarding,permitopen="127.0.0.1:1",command="exit 1" {public} hpc-jupyter-reverse-cori\n'
    )
    keys.write_text(f"ssh-rsa AAAAmine me\n{line}")
    assert _do(layout) == []
    keys.write_text("ssh-rsa AAAAmine me\n")
    assert _do(layout) == [f">{line}"]
    assert _do(layout, present=False) == [f"{line}>"]
    assert keys.read_text() == "ssh-rsa AAAAmine me\n"
    assert not list((tmp_path / "root").iterdir())
    assert _do(layout, present=False) == []


def test_a_key_that_others_could_read_is_made_anew(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    layout = Layout(str(tmp_path))
    _do(layout)
    before = (tmp_path / "reverse_key.pub").read_text()
    former = (tmp_path / ".ssh" / "authorized_keys").read_text()
    (tmp_path / "reverse_key").chmod(0o644)
    assert _do(layout) == [f"{former}># a new key\n"]
    assert (tmp_path / "reverse_key.pub").read_text() != before
    assert _let_in(tmp_path) == [reverse_key.public_key(layout.reverse_key)]


def _let_in(home: pathlib.Path) -> list[str]:
    """The keys whose lines are ours."""
    lines = (home / ".ssh" / "authorized_keys").read_text().splitlines()
    return [" ".join(line.split()[-3:-1]) for line in lines if line.endswith("hpc-jupyter-reverse-cori")]


def _private_of(path: str) -> str:
    told = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True, timeout=20)
    return " ".join(told.stdout.split()[:2])


class _Killed(BaseException):
    """What no code of ours sees coming."""


@pytest.mark.parametrize("steps", range(5))
def test_whoever_has_the_key_is_let_in_at_every_moment_of_its_renewal(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """And a renewal that was cut off is made good by the next one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    layout, left = Layout(str(tmp_path)), [steps]
    _do(layout)
    first = reverse_key.public_key(layout.reverse_key)

    replace = os.replace

    def cut(source: str, target: str) -> None:
        assert _private_of(layout.reverse_key) in _let_in(tmp_path)
        if not left[0]:
            raise _Killed
        left[0] -= 1
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", cut)
        if steps < 4:
            with pytest.raises(_Killed):
                _do(layout, renew=True)
        else:
            _do(layout, renew=True)
    assert _private_of(layout.reverse_key) in _let_in(tmp_path)
    assert _do(layout, renew=True)[0].endswith("># a new key\n")
    assert _let_in(tmp_path) == [reverse_key.public_key(layout.reverse_key)] == [_private_of(layout.reverse_key)]
    assert first not in _let_in(tmp_path)
    assert _do(layout) == []


def test_two_clusters_on_one_home_have_each_its_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    roots = [tmp_path / name for name in ("cori", "hydra")]
    for root in roots:
        root.mkdir()
    write, locked = authorized_keys.write, []

    def see(path: str, text: str) -> None:
        locked.append((tmp_path / authorized_keys.LOCK).is_dir())
        write(path, text)

    monkeypatch.setattr(authorized_keys, "write", see)
    for root in roots:
        changes.apply(reverse_key.plan(Layout(str(root)), cluster=root.name, present=True))
    assert locked == [True, True]
    words = [line.split()[-1] for line in (tmp_path / ".ssh" / "authorized_keys").read_text().splitlines()]
    assert words == ["hpc-jupyter-reverse-cori", "hpc-jupyter-reverse-hydra"]
    assert not (tmp_path / authorized_keys.LOCK).exists()

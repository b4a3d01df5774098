# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import wishes

_LANDING = wishes.Landing(
    "login1", 2222, ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA",), ("192.0.2.1", "fd00::1"), "/tmp/hpcl-abc",
)
_WISH = wishes.Wish("0123456789abcdef", 3, "reverse", _LANDING)


@pytest.mark.parametrize("wish", [
    _WISH, wishes.Wish("", 1, ""), wishes.Wish("0123456789abcdef", 1, "restart"),
    replace(_WISH, want="lan", landing=replace(_LANDING, directory="", addresses=())),
])
def test_a_wish_survives_its_file_and_is_private(tmp_path: Path, wish: wishes.Wish) -> None:
    path = tmp_path / "wish.json"
    wishes.write(str(path), wish)
    assert wishes.read(str(path)) == wish
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("changes", [
    {"id": "x"}, {"id": 7}, {"id": "0123456789abcdef\n"}, {"generation": "3"}, {"generation": True},
    {"want": "loopback"}, {"want": ["lan"]}, {"want": "../x"}, {"landing": None}, {"landing": []}, {"later": 1},
])
def test_a_wish_with_anything_else_in_it_is_none(changes: dict[str, object]) -> None:
    assert wishes.parse(json.dumps({**asdict(_WISH), **changes}).encode()) is None


@pytest.mark.parametrize("changes", [
    {"host": "-oProxyCommand=id"}, {"host": "a b"}, {"host": ""}, {"host": None}, {"port": 0}, {"port": 65536},
    {"port": "22"}, {"port": True}, {"host_keys": "ssh-ed25519 AAAA"}, {"host_keys": ["* ssh-ed25519 AAAA\nx"]},
    {"host_keys": [1]}, {"addresses": ["login1"]}, {"addresses": [None]}, {"addresses": ["-oX"]},
    {"addresses": "10.0.0.1"}, {"directory": ""}, {"directory": "tmp"}, {"directory": "/tmp/../home"},
    {"directory": "/tmp/a:b"}, {"directory": 1}, {"user": "root"},
])
def test_a_wish_with_a_landing_that_is_none_is_none(changes: dict[str, object]) -> None:
    data = {**asdict(_WISH), "landing": {**asdict(_LANDING), **changes}}
    assert wishes.parse(json.dumps(data).encode()) is None


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"{}", b'"x"', b"\xff\xfe", b"[" * 100000])
def test_what_is_torn_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wish.json"
    path.write_bytes(content)
    path.chmod(0o600)
    assert wishes.read(str(path)) is None


def test_what_others_may_have_written_is_none(tmp_path: Path) -> None:
    path = tmp_path / "wish.json"
    assert wishes.read(str(path)) is None
    wishes.write(str(path), _WISH)
    path.chmod(0o640)
    assert wishes.read(str(path)) is None
    path.chmod(0o600)
    (tmp_path / "link.json").symlink_to(path)
    assert wishes.read(str(tmp_path / "link.json")) is None
    os.mkfifo(tmp_path / "pipe.json", 0o600)
    assert wishes.read(str(tmp_path / "pipe.json")) is None
    assert wishes.read(str(tmp_path)) is None
    assert wishes.read(str(path)) == _WISH

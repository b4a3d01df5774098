# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import wheels
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

CONTENT = {"a-1-py3-none-any.whl": b"a" * 3000, "b-2-py3-none-any.whl": b"b"}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


def pack(to: Path, content: dict[str, bytes]) -> str:
    with tarfile.open(str(to), "w") as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return str(to)


def test_what_is_missing_arrives_whole(tmp_path: Path) -> None:
    place = tmp_path / "wheels"
    assert wheels.choose([str(place)], HASHES) == (str(place), sorted(HASHES), "")
    wheels.unpack(pack(tmp_path / "tar", CONTENT), str(place), HASHES)
    assert wheels.choose([str(place)], HASHES) == (str(place), [], "")
    assert sorted(os.listdir(str(place))) == sorted(CONTENT)


def test_a_damaged_one_is_missing_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "b-2-py3-none-any.whl").write_bytes(b"torn")
    first = "a-1-py3-none-any.whl"
    wheels.unpack(pack(tmp_path / "tar", {first: CONTENT[first]}), str(tmp_path), HASHES)
    assert wheels.missing(str(tmp_path), HASHES) == ["b-2-py3-none-any.whl"]
    wheels.unpack(pack(tmp_path / "tar", CONTENT), str(tmp_path), HASHES)
    assert wheels.missing(str(tmp_path), HASHES) == []


def test_another_s_damaged_file_in_a_sticky_directory_is_left_to_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert wheels.choose([str(shared), str(own)], HASHES)[0] == str(shared)
    (shared / "b-2-py3-none-any.whl").write_bytes(b"torn")
    assert wheels.choose([str(shared), str(own)], HASHES) == (
        str(own), sorted(HASHES), f"{shared} lacks 2 of 2 wheels, and this account may not write there"
    )
    shared.chmod(0o777)
    assert wheels.choose([str(shared), str(own)], HASHES)[0] == str(shared)


def test_what_does_not_arrive_whole_is_not_there_at_all(tmp_path: Path) -> None:
    place = tmp_path / "wheels"
    archive = pack(tmp_path / "tar", {"b-2-py3-none-any.whl": b"other"})
    with pytest.raises(HpcJupyterError) as caught:
        wheels.unpack(archive, str(place), HASHES)
    assert str(caught.value) == f"b-2-py3-none-any.whl did not arrive whole in {place}. Run the playbook again"
    assert os.listdir(str(place)) == []


@pytest.mark.parametrize("name", ["../out.whl", "/tmp/out.whl", "c.whl"])
def test_only_what_was_named_is_taken(tmp_path: Path, name: str) -> None:
    place = tmp_path / "in" / "wheels"
    place.parent.mkdir()
    wheels.unpack(pack(tmp_path / "tar", {name: b"x"}), str(place), HASHES)
    assert os.listdir(str(place)) == []
    assert sorted(os.listdir(str(tmp_path))) == ["in", "tar"]


def test_several_accounts_at_once(tmp_path: Path) -> None:
    place, archive = tmp_path / "wheels", pack(tmp_path / "tar", CONTENT)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _number: wheels.unpack(archive, str(place), HASHES), range(16)))
    assert wheels.missing(str(place), HASHES) == []
    assert sorted(os.listdir(str(place))) == sorted(CONTENT)


def test_a_shared_place_has_the_rights_of_the_directory_above(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    wheels.unpack(pack(tmp_path / "tar", CONTENT), str(shared / "wheels"), HASHES)
    assert (shared / "wheels").stat().st_mode & 0o7777 == 0o2775
    assert {path.stat().st_mode & 0o777 for path in (shared / "wheels").iterdir()} == {0o664}


def test_what_was_cut_off_long_ago_goes(tmp_path: Path) -> None:
    for name, age in (("old", 90000), ("young", 10)):
        (tmp_path / f".hpcj-{name}").write_text("")
        os.utime(str(tmp_path / f".hpcj-{name}"), (0, time.time() - age))
    wheels.unpack(pack(tmp_path / "tar", {}), str(tmp_path), HASHES)
    assert sorted(os.listdir(str(tmp_path))) == [".hpcj-young", "tar"]


def test_a_place_that_takes_nothing_is_passed_over(tmp_path: Path) -> None:
    far, own = str(tmp_path / "no" / "such"), str(tmp_path / "own")
    note = f"{far} lacks 2 of 2 wheels, and this account may not write there"
    assert wheels.choose([far, own], HASHES) == (own, sorted(HASHES), note)
    with pytest.raises(HpcJupyterError) as caught:
        wheels.choose([far], HASHES)
    assert str(caught.value) == f"{note}. Give the account a place for them with hpc_wheelhouse"


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(str(tmp_path / "b-2-py3-none-any.whl"))
    assert wheels.missing(str(tmp_path), HASHES) == sorted(HASHES)

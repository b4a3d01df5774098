# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import wheelhouse
from ansible_collections.hpc.jupyter.plugins.plugin_utils.wheelhouse import Order, Platform

MARKERS = {
    "implementation_name": "cpython", "platform_machine": "aarch64", "platform_python_implementation": "CPython",
    "platform_system": "Linux", "python_full_version": "3.10.4", "python_version": "3.10", "sys_platform": "linux",
}  # fmt: skip
RHEL8 = Platform(MARKERS, "2.28")
LOCK = """\
# a comment
anyio==4.16.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
appnope==1.0.0 ; sys_platform == 'darwin' \\
    --hash=sha256:cc
tornado==6.5.10 ; python_full_version < '3.11' \\
    --hash=sha256:dd
tornado==6.6.1 ; python_full_version >= '3.11' \\
    --hash=sha256:ee
"""


def test_markers_are_those_of_the_account() -> None:
    assert wheelhouse.for_platform(LOCK, RHEL8) == (
        "anyio==4.16.0 --hash=sha256:aa --hash=sha256:bb\ntornado==6.5.10 --hash=sha256:dd\n"
    )


def test_older_platforms_will_do_newer_ones_will_not() -> None:
    assert RHEL8.tags[0] == "manylinux_2_28_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"} <= set(RHEL8.tags)
    assert "manylinux1_aarch64" not in RHEL8.tags
    assert RHEL8.uv_name == "aarch64-manylinux_2_28"
    assert Platform(MARKERS, "2.27").uv_name == "aarch64-manylinux_2_17"
    assert str(RHEL8) == "Python 3.10, aarch64, glibc 2.28"


@pytest.mark.parametrize(("changes", "glibc"), [({"sys_platform": "darwin"}, ""), ({}, "")])
def test_a_platform_that_nothing_is_made_for(changes: dict[str, str], glibc: str) -> None:
    with pytest.raises(HpcJupyterError) as caught:
        Platform({**MARKERS, **changes}, glibc).check()
    assert str(caught.value) == (
        "wheels are sent to CPython on Linux with glibc 2 alone, and this account has CPython on Linux. Fill a "
        "directory by hand and name it in jupyter_environment_wheelhouse, or use an environment that is there "
        "(jupyter_environment_kind)"
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A directory with one wheel, which pip takes for the index; the lock that names it."""
    wheel = tmp_path / "links" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nRoot-Is-Purelib: true\n")
        file.writestr("tiny-1.0.dist-info/RECORD", "")
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(wheel.parent)), ("CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def test_fetched_once_for_many_at_once(index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched, real = [], wheelhouse._run

    def run(argv: Any, what: str) -> str:
        fetched.append(what)
        return real(argv, what)

    monkeypatch.setattr(wheelhouse, "_run", run)
    order = Order(RHEL8, [index], uv_lock="")
    threads = [threading.Thread(target=wheelhouse.provide, args=(order,)) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert fetched == ["the wheels for Python 3.10, aarch64, glibc 2.28"]
    house = wheelhouse.provide(order)
    assert (list(house.hashes), house.more_lock) == (["tiny-1.0-py3-none-any.whl"], "")
    house.pack(list(house.hashes), str(tmp_path / "tar"))
    with tarfile.open(tmp_path / "tar") as tar:
        assert tar.getnames() == list(house.hashes)


def test_a_package_by_its_address_is_fetched_from_there(index: str, tmp_path: Path) -> None:
    address = f"file://{tmp_path}/links/tiny-1.0-py3-none-any.whl"
    lock = wheelhouse.for_platform(index.replace("==1.0", f" @ {address} ; python_version >= '3.8' \\\n   "), RHEL8)
    assert lock == index.replace("==1.0", f" @ {address}")
    (tmp_path / "into").mkdir()
    wheelhouse._download(lock, RHEL8, str(tmp_path / "into"))
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["tiny-1.0-py3-none-any.whl"]


def test_what_the_locks_have_is_not_settled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    own = "tool @ https://me:pw@host/tool-1.0-py3-none-any.whl --hash=sha256:aa\n"
    monkeypatch.setattr(wheelhouse, "_uv", lambda _order: "uv")
    monkeypatch.setattr(wheelhouse, "_run", lambda _argv, _what: f"{LOCK}{own}")
    assert wheelhouse._settle(Order(RHEL8, [LOCK], uv_lock="", packages=["tool"])) == own


def test_uv_is_fetched_once_and_never_seen_half(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, place = list[bool](), tmp_path / "cache/hpc-jupyter/wheels"
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(wheelhouse, "_pip", lambda: ["pip"])

    def run(argv: list[str], _what: str) -> str:
        (Path(argv[argv.index("--target") + 1]) / "bin").mkdir()
        seen.append(any(place.glob("uv-????????????????/bin")))
        (Path(argv[argv.index("--target") + 1]) / "bin/uv").touch()
        return ""

    monkeypatch.setattr(wheelhouse, "_run", run)
    orders = [Order(RHEL8, [index], uv_lock="uv"), Order(Platform(MARKERS, "2.17"), [index], uv_lock="uv")]
    with ThreadPoolExecutor() as pool:
        found = set(pool.map(wheelhouse._uv, orders))
    assert [Path(path).is_file() for path in found] == [True]
    assert seen == [False]


def test_a_wrong_hash_is_refused_and_nothing_is_kept(index: str, tmp_path: Path) -> None:
    order = Order(RHEL8, [index.replace("sha256:", "sha256:0")[:-2] + "\n"], uv_lock="")
    with pytest.raises(HpcJupyterError) as caught:
        wheelhouse.provide(order)
    assert "the wheels for Python 3.10, aarch64, glibc 2.28 could not be fetched on this machine: " in str(caught.value)
    assert [path for path in (tmp_path / "cache/hpc-jupyter/wheels").iterdir() if path.is_dir()] == []


def test_what_is_kept_says_what_it_is(index: str) -> None:
    house = wheelhouse.provide(Order(RHEL8, [index], uv_lock=""))
    kept = json.loads((Path(house.directory) / "hashes.json").read_text())
    assert kept == {"hashes": dict(house.hashes), "more_lock": ""}


def test_own_packages_are_settled_anew_every_day() -> None:
    plain = Order(RHEL8, [LOCK], uv_lock="")
    assert plain.key == Order(RHEL8, [LOCK], uv_lock="").key
    assert len({plain.key, Order(RHEL8, [LOCK], uv_lock="", packages=["numpy"]).key,
                Order(Platform(MARKERS, "2.17"), [LOCK], uv_lock="").key}) == 3

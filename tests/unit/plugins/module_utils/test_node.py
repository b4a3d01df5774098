# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import node

_MOUNTS = """/dev/sda1 / ext4 rw 0 0
fs:/home /home nfs4 rw 0 0
tmpfs /home/scratch\\040x tmpfs rw 0 0
x /l lustre rw 0 0
"""


@pytest.mark.parametrize(("path", "kind"), [
    ("/tmp", "ext4"), ("/home/me", "nfs4"), ("/homes", "ext4"), ("/home/scratch x/y", "tmpfs"), ("/l/tmp", "lustre"),
])
def test_the_file_system_of_a_path_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert node.filesystem(path, mounts=_MOUNTS) == kind


@pytest.fixture(name="base")
def _base() -> Iterator[Path]:
    """A short directory: pytest's own are too long for sockets."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as made:
        yield Path(made)


def test_a_directory_is_private_short_and_marked(base: Path) -> None:
    made = node.make_directory("/s/sessions/x", temporary=[str(base)], home="/nonexistent")
    assert stat.S_IMODE(os.stat(made.path).st_mode) == stat.S_IMODE(os.stat(made.runtime).st_mode) == 0o700
    assert made.socket == os.path.join(made.path, "s")
    assert Path(made.path, "session").read_text() == f"{os.getpid()}\n/s/sessions/x\n"
    made.remove()
    assert list(base.iterdir()) == []


def test_a_place_that_is_too_long_is_passed_over(base: Path) -> None:
    long = base / ("x" * 40)
    long.mkdir(mode=0o700)
    made = node.make_directory("/s", temporary=[str(long), str(base)], home="/nonexistent")
    assert os.path.dirname(made.path) == str(base)
    made.remove()


def test_where_nothing_will_do_every_reason_is_given(base: Path) -> None:
    with pytest.raises(OSError, match="no place for the sockets") as raised:
        node.make_directory("/s", temporary=[str(base / "gone"), str(base)], home=str(base))
    text = str(raised.value)
    assert f"{base}/gone: No such file or directory; {base}: is below the home directory, which nodes share" in text


def test_a_shared_file_system_and_other_people_s_directories_are_unfit(base: Path) -> None:
    assert node.unfit(str(base), home="/x", mounts=f"s {base} nfs4 rw 0 0") == "is on a shared file system (nfs4)"
    base.chmod(0o777)
    assert node.unfit(str(base), home="/x", mounts="") == "can be changed by other users"
    base.chmod(0o1777)
    assert node.unfit(str(base), home="/x", mounts="") == ""


@pytest.mark.parametrize(("length", "fits"), [(57, True), (58, False)])
def test_the_longest_runtime_directory_is_57_bytes(base: Path, length: int, fits: bool) -> None:
    place = base / ("x" * (length - len("/hpcj-12345678/r") - len(str(base)) - 1))
    place.mkdir(mode=0o700)
    assert (node.unfit(str(place), home="/x", mounts="") == "") is fits


def _left_over(base: Path, name: str, *, session: str, pid: int) -> Path:
    place = base / name
    place.mkdir(mode=0o700)
    (place / "session").write_text(f"{pid}\n{session}\n")
    return place


def test_only_what_a_gone_supervisor_of_the_same_session_left_is_removed(base: Path) -> None:
    supervisor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "supervise", "/s/mine", "1"])
    try:
        gone = _left_over(base, "hpcj-gone", session="/s/mine", pid=2 ** 22 + 1)
        kept = [
            _left_over(base, "hpcj-live", session="/s/mine", pid=supervisor.pid),
            _left_over(base, "hpcj-other", session="/s/other", pid=2 ** 22 + 1),
            _left_over(base, "mine", session="/s/mine", pid=2 ** 22 + 1),
        ]
        (base / "hpcj-unmarked").mkdir()
        (base / "hpcj-link").symlink_to(kept[2])
        node.make_directory("/s/mine", temporary=[str(base)], home="/x").remove()
        assert not gone.exists()
        assert all(place.exists() for place in [*kept, base / "hpcj-unmarked", base / "hpcj-link"])
    finally:
        supervisor.kill()
        supervisor.wait()


def test_temporary_directories_are_the_job_s_first_then_the_usual_ones() -> None:
    assert node.temporary_directories({"TMPDIR": "/local/42"}) == ["/local/42", "/tmp", "/var/tmp"]
    assert node.temporary_directories({}) == ["/tmp", "/var/tmp"]


def test_host_keys_are_type_and_key_only(tmp_path: Path) -> None:
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@node\n")
    (tmp_path / "ssh_host_rsa_key.pub").write_text("not a key\n")
    (tmp_path / "ssh_host_dsa_key.pub").write_text("")
    assert node.host_keys(str(tmp_path)) == ["ssh-ed25519 AAAA"]

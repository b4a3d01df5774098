# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import changes


def write(path: Path, content: str, *, bits: int = 0o600) -> bool:
    """Whether something had to be done."""
    planned = changes.file(str(path), content, bits=bits)
    changes.apply(planned)
    return bool(planned)


def test_a_plan_says_what_would_be_written_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "not yet" / "job.sh"
    assert changes.diff(changes.file(str(path), "ls\n", bits=0o700)) == [
        {"before_header": str(path), "after_header": str(path), "before": "", "after": "ls\n"}
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bits", [0o600, 0o700])
def test_a_file_is_written_once(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "job.sh"
    assert write(path, "écho\n", bits=bits)
    written = path.stat()
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(written.st_mode)) == ("écho\n", bits)
    assert not write(path, "écho\n", bits=bits)
    assert path.stat().st_ino == written.st_ino


def test_a_mode_that_lets_others_in_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "environment.sh"
    path.write_text("true\n", encoding="ascii")
    path.chmod(0o644)
    [change] = changes.file(str(path), "true\n", secret=True)
    assert (change.before, change.after) == ("mode 0644\n", "mode 0600\n")
    assert write(path, "true\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_secret_is_not_in_the_diff(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("old hash", encoding="ascii")
    [change] = changes.file(str(path), "new hash", secret=True)
    assert (change.before, change.after) == ("(not shown)\n", "(not shown, and another one)\n")
    assert "hash" not in repr(change)


def test_what_is_not_a_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        changes.file(str(tmp_path), "true\n")

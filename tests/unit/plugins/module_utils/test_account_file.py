# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.hpc.jupyter.plugins.modules import account_file


def write(path: Path, content: str, *, mode: str = "0600", check: bool = False) -> dict[str, object]:
    params = {"path": str(path), "content": content, "mode": mode}
    return account_file._run(SimpleNamespace(params=params, check_mode=check))


def test_check_mode_says_what_it_would_write_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "not yet" / "job.sh"
    assert write(path, "ls\n", mode="0700", check=True) == {
        "changed": True, "path": str(path),
        "diff": {"before_header": str(path), "after_header": f"{path} 0700", "before": "", "after": "ls\n"},
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["0600", "0700"])
def test_a_file_is_written_once(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "job.sh"
    assert write(path, "écho\n", mode=mode)["changed"] is True
    written = path.stat()
    assert (path.read_text(encoding="utf-8"), stat.S_IMODE(written.st_mode)) == ("écho\n", int(mode, 8))
    assert write(path, "écho\n", mode=mode)["changed"] is False
    assert path.stat().st_ino == written.st_ino


def test_a_mode_that_lets_others_in_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "environment.sh"
    path.write_text("true\n", encoding="ascii")
    path.chmod(0o644)
    assert write(path, "true\n")["changed"] is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_not_a_file_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write(tmp_path, "true\n")

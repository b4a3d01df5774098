# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running

PROFILE = 'echo "Welcome! $PATH"\nexport PATH="$HOME/bin:$PATH" SGE_ROOT=/opt/sge KEPT=login\n'
PROGRAM = '#!/bin/bash\necho "$SGE_ROOT,$KEPT,$HIDDEN_ONE,$LC_ALL,$TZ"\n'


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose login shell finds what ssh's own shell does not, with a notice, as sites print them."""
    (tmp_path / ".bash_profile").write_text(PROFILE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/qask").write_text(PROGRAM)
    (tmp_path / "bin/qask").chmod(0o755)
    for name, value in {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "KEPT": "own", "HIDDEN_ONE": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SGE_ROOT", raising=False)
    running._login.cache_clear()
    yield tmp_path
    running._login.cache_clear()


def test_what_only_a_login_finds_gets_what_the_login_sets(home: Path) -> None:
    assert running.find_command("qask") == str(home / "bin/qask")
    assert running.run(["qask"], timeout_seconds=30, hidden=("HIDDEN_",)).out == "/opt/sge,own,,C,UTC\n"


@pytest.mark.usefixtures("home")
def test_what_is_there_anyway_needs_no_login() -> None:
    assert running.run(["bash", "-c", 'echo "$SGE_ROOT,$KEPT"'], timeout_seconds=30).out == ",own\n"
    assert running._login.cache_info().currsize == 0


@pytest.mark.usefixtures("home")
def test_a_command_that_is_nowhere_is_told() -> None:
    with pytest.raises(FileNotFoundError, match=r"^there is no qnone on PATH, nor on a login shell's PATH$"):
        running.run(["qnone"], timeout_seconds=30)


def test_a_command_that_hangs_has_its_deadline() -> None:
    assert running.run(["sleep", "30"], timeout_seconds=0.1).timed_out

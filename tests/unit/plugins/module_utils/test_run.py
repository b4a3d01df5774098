# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import lsf, slurm
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Order, Scheduler

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
def test_what_hands_its_environment_on_has_the_person_s_own_locale_and_time_zone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert running.run(["qask"], timeout_seconds=30, as_it_is=True).out == "/opt/sge,own,x,de_DE.UTF-8,Europe/Berlin\n"


@pytest.mark.parametrize(("command", "scheduler"), [("sbatch", slurm.Slurm()), ("bsub", lsf.Lsf())])
def test_a_job_that_gets_the_submit_s_environment_gets_the_person_s_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, command: str, scheduler: Scheduler
) -> None:
    for name, value in {"TZ": "Europe/Berlin", "LC_ALL": "de_DE.UTF-8", "PATH": f"{home}/bin:/usr/bin:/bin"}.items():
        monkeypatch.setenv(name, value)
    said = {"sbatch": "7", "bsub": "Job <7> is submitted to queue <q>."}[command]
    program = home / "bin" / command
    program.write_text(f'#!/bin/sh\necho "$TZ,$LC_ALL" >"$HOME/told"\necho "{said}"\n')
    program.chmod(0o755)
    assert scheduler.submit(Order("n", ("/h/job.sh",), "/h", "/h/log", Resources())) == "7"
    assert (home / "told").read_text() == "Europe/Berlin,de_DE.UTF-8\n"


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

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import entry

_LOADED = f"""
import sys
from {entry.__name__} import main
code = main()
print(code, *(name.rpartition(".")[2] for name in sys.modules if name.startswith({entry.__package__!r})))
"""


def test_a_job_loads_the_supervisor_and_none_of_the_commands(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _LOADED, "supervise", str(tmp_path), "1"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": _path()})
    code, *loaded = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "nothing to start" in done.stdout
    assert "supervisor" in loaded
    assert not {"command", "verbs", "session", "leftovers", "reach", "connection"} & set(loaded)


@pytest.mark.parametrize(("arguments", "words"), [
    (["supervise"], "hpc-session: supervise: takes SESSION_DIR and GENERATION; the job script calls it\n"),
    (["supervise", "d", "x"], "hpc-session: supervise: takes SESSION_DIR and GENERATION; the job script calls it\n"),
    (["ends"], "hpc-session: ends: takes the number of a job; the supervisor calls it\n"),
])
def test_what_is_wrong_is_one_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["hpc-session", *arguments])
    assert entry.main() == 2
    assert capsys.readouterr().err == words


def _path() -> str:
    return str(Path(entry.__file__).parents[5])


def test_a_launch_compiles_nothing_of_its_module_that_it_does_not_need() -> None:
    package = entry.__package__
    script = f"""
import sys
import {package.rpartition(".")[0]}.modules.session
from {package}.schedulers import by_name
by_name("slurm", root="/")
print(*(name.rpartition(".")[2] for name in sys.modules if name.startswith({package!r})))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60,
                          env={"PYTHONPATH": os.pathsep.join([_path(), *sys.path])})
    loaded = set(done.stdout.split())
    assert {"session", "submitting", "waiting", "slurm"} <= loaded
    assert not {"leftovers", "stopping", "words", "children", "detach", "changes", "job_log"} & loaded

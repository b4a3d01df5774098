# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import pythons
from ansible_collections.hpc.jupyter.plugins.module_utils.pythons import Python

NEW = (3, 50)
"""No real Python will do, so that the stand-ins decide."""

MODULES = """\
module() {{
    case "$*" in
        "-t avail") printf '/apps/modules:\\nPython/\\nPython/3.51.0\\nPython/3.60.1(default)\\ngcc/12 <L>\\n' >&2 ;;
        "load Python/3.60.1") PATH={home}/apps/bin:$PATH ;;
        *) return 1 ;;
    esac
}}
export -f module
"""


def stand_in(path: Path, version: str) -> str:
    """What says of itself that it is Python ``version``, and can do nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return str(path)


def search(home: Path, *, path: str = "/usr/bin:/bin", **more: Any) -> pythons.Search:
    """What is found by an account whose home directory is ``home``."""
    argv = pythons.command(**{"oldest": NEW, "deep": False, **more})
    environment = {"PATH": path, "HOME": str(home), "LC_ALL": "C"}
    done = subprocess.run(argv, env=environment, capture_output=True, check=True, timeout=60, text=True)
    assert done.stderr == ""
    return pythons.found(f"Welcome!\n{done.stdout}")


def test_one_that_is_known_comes_first(tmp_path: Path) -> None:
    known = stand_in(tmp_path / "known", "3.50.2")
    stand_in(tmp_path / "bin/python3", "3.60.0")
    found = search(tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin", known=[known])
    assert found == pythons.Search(Python(known, "3.50.2"), ())


def test_path_goes_before_the_rest(tmp_path: Path) -> None:
    old = stand_in(tmp_path / "bin/python3", "3.6.8")
    good = stand_in(tmp_path / "bin/python3.12", "3.50.0")
    found = search(tmp_path, path=f"{tmp_path}/bin:/usr/bin:/bin", deep=True)
    assert found.good == Python(good, "3.50.0")
    assert Python(old, "3.6.8") in found.old


@pytest.mark.parametrize("version", ["2.7.18", "", "3", "4.0.0", "nonsense"])
def test_what_is_no_python_3_is_passed_over(tmp_path: Path, version: str) -> None:
    path = stand_in(tmp_path / "python", version)
    assert search(tmp_path, wanted=path) == pythons.Search(None, ())


def test_only_the_one_that_is_wanted_will_do(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin/python3", "3.60.0")
    old = stand_in(tmp_path / "own", "3.6.8")
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    assert search(tmp_path, path=path, wanted="~/own", deep=True) == pythons.Search(None, (Python(old, "3.6.8"),))


@pytest.mark.parametrize(
    "place", ["miniforge3/bin/python3", ".conda/envs/a b/bin/python3", ".pyenv/versions/x/bin/python3"]
)
def test_conda_and_others_below_the_home_directory(tmp_path: Path, place: str) -> None:
    good = stand_in(tmp_path / place, "3.60.0")
    assert search(tmp_path).good is None
    assert search(tmp_path, deep=True).good == Python(good, "3.60.0")


def test_one_that_is_too_new_is_passed_over(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin/python3", "3.61.0")
    good = stand_in(tmp_path / "miniforge3/bin/python3", "3.60.0")
    path = f"{tmp_path}/bin:/usr/bin:/bin"
    assert search(tmp_path, path=path, newest=(3, 60), deep=True).good == Python(good, "3.60.0")


def test_the_path_of_a_login_shell(tmp_path: Path) -> None:
    good = stand_in(tmp_path / "apps/python3", "3.60.0")
    (tmp_path / ".bash_profile").write_text(f"echo Hello\nPATH=$PATH:{tmp_path}/apps:/usr/bin\n")
    (tmp_path / "apps/python3").rename(tmp_path / "apps/python3.13")
    assert search(tmp_path, deep=True).good == Python(good + ".13", "3.60.0")


def test_modules_the_newest_first(tmp_path: Path) -> None:
    good = stand_in(tmp_path / "apps/bin/python3", "3.60.1")
    (tmp_path / ".bash_profile").write_text(MODULES.format(home=tmp_path))
    assert search(tmp_path, deep=True).good == Python(good, "3.60.1")


def test_a_real_one(tmp_path: Path) -> None:
    found = search(tmp_path, oldest=(3, 8), known=[os.path.realpath(sys.executable)])
    assert found.good is not None
    assert found.good.version.startswith("3.")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import sys

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import interpreters
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput


def _script(path: pathlib.Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_tells_its_version_and_not_its_virtual_environment() -> None:
    about = interpreters.inspect(sys.executable)
    assert about is not None
    assert about.version == sys.version_info[:3]


def test_what_is_no_python_is_none(tmp_path: pathlib.Path) -> None:
    assert interpreters.inspect("/nowhere/python3") is None
    assert interpreters.inspect(_script(tmp_path / "python3", "echo hello")) is None


def test_a_wanted_python_that_does_not_run_is_refused() -> None:
    with pytest.raises(BadInput) as caught:
        interpreters.find("/nowhere/python3")
    assert str(caught.value) == (
        "jupyter_environment_python: '/nowhere/python3' is not a Python that runs on this account"
    )


def test_a_wanted_python_that_is_too_old_is_refused(tmp_path: pathlib.Path) -> None:
    old = _script(tmp_path / "python3.6", """echo 'hpc-jupyter:["/usr/bin/python3.6", [3, 6, 8], true]'""")
    with pytest.raises(BadInput) as caught:
        interpreters.find(old)
    assert str(caught.value) == (
        "jupyter_environment_python: /usr/bin/python3.6 (3.6.8) is too old. JupyterLab needs 3.10 or newer"
    )


def test_noise_around_the_answer_does_not_matter(tmp_path: pathlib.Path) -> None:
    noisy = _script(tmp_path / "python3", f'echo "Welcome!"; exec {sys.executable} "$@"')
    assert interpreters.inspect(noisy) == interpreters.inspect(sys.executable)


def test_what_can_be_imported_and_what_cannot() -> None:
    found = interpreters.installed(sys.executable, modules=["json", "no_such"], packages=["no-such"], isolated=True)
    assert not isinstance(found, str)
    assert found.problems == {"no_such": "ModuleNotFoundError: No module named 'no_such'"}
    assert found.versions == {}


def test_a_python_that_is_gone_says_so(tmp_path: pathlib.Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(tmp_path / "gone")
    answer = interpreters.installed(str(link), modules=[], packages=[], isolated=True)
    assert isinstance(answer, str)
    assert answer.startswith(f"{link} does not run: ")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import changes, kernels
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout

_NAME_HINT = "Use up to 64 small letters, digits, '.', '_' or '-', a letter or digit first, and not python3"


@pytest.mark.parametrize(("value", "python", "title"), [
    ({"name": "tf", "path": "/opt/tf"}, "/opt/tf/bin/python", "tf"),
    ({"name": "tf", "python": "/opt/tf/bin/python3.12", "path": None}, "/opt/tf/bin/python3.12", "tf"),
    ({"name": "tf", "path": "~/tf", "display_name": "Tensors"}, os.path.expanduser("~/tf/bin/python"), "Tensors"),
])
def test_a_kernel_has_a_python_and_a_title(value: dict[str, Any], python: str, title: str) -> None:
    assert kernels.build([value]) == [kernels.Kernel("tf", python, title)]


@pytest.mark.parametrize(("values", "message"), [
    ([{"name": "My kernel", "path": "/x"}], f"'My kernel' cannot be a kernel's name. {_NAME_HINT}"),
    ([{"name": "../x", "path": "/x"}], f"'../x' cannot be a kernel's name. {_NAME_HINT}"),
    ([{"name": "python3", "path": "/x"}], f"'python3' cannot be a kernel's name. {_NAME_HINT}"),
    ([{"name": "a"}], "a has no path. Write the environment's directory as path, or its Python as python"),
    ([{"name": "a", "path": "/x", "python": "/y"}],
     "a has both path and python. Write the environment's directory as path, or its Python as python"),
    ([{"name": "a", "path": "envs/x"}], "a: 'envs/x' is relative. Start it with / or ~/"),
    ([{"name": "a", "path": "/x"}, {"name": "a", "path": "/y"}],
     "'a' is there twice. Give each kernel a name of its own"),
])
def test_what_is_no_kernel_is_refused(values: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(BadInput) as raised:
        kernels.build(values)
    assert str(raised.value) == f"jupyter_environment_kernels: {message}"


def test_an_environment_that_cannot_be_a_kernel_is_said(tmp_path: Path) -> None:
    gone = kernels.Kernel("a", "/nonexistent/bin/python", "a")
    with pytest.raises(HpcJupyterError) as raised:
        kernels.verify(gone)
    assert str(raised.value) == (
        "jupyter_environment_kernels: a: there is no Python at /nonexistent/bin/python on this account"
    )
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(HpcJupyterError) as raised:
        kernels.verify(kernels.Kernel("a", str(bare), "a"))
    assert str(raised.value) == (
        f"jupyter_environment_kernels: a: {bare} cannot be a kernel "
        "(ModuleNotFoundError: No module named 'ipykernel'). "
        f"Install ipykernel there: {bare} -m pip install ipykernel"
    )


def test_the_directory_holds_what_is_asked_for_and_nothing_else(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    one, two = kernels.Kernel("one", "/opt/o$ne/bin/python", "One"), kernels.Kernel("two", "/two/bin/python", "Two")
    assert kernels.plan(layout, []) == []
    changes.apply(kernels.plan(layout, [one, two]))
    assert kernels.plan(layout, [one, two]) == []
    spec = tmp_path / "kernels/one/kernel.json"
    assert stat.S_IMODE(spec.stat().st_mode) == 0o600
    assert json.loads(spec.read_text()) == {
        "argv": ["/opt/o$ne/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "One",
        "language": "python", "env": {"PATH": "/opt/o$$ne/bin:${PATH}", "PYTHONHOME": "", "PYTHONPATH": ""},
        "metadata": {"debugger": False},
    }
    changed = kernels.plan(layout, [two])
    assert [(change.path, change.after) for change in changed] == [(str(spec), "")]
    changes.apply(changed)
    assert os.listdir(layout.kernels) == ["two"]

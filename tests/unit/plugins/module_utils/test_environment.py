# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import sys

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import environment
from ansible_collections.hpc.jupyter.plugins.module_utils.environment import Found, Plan, Wish
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.interpreters import Installed
from ansible_collections.hpc.jupyter.plugins.module_utils.made_environment import MARKER as MARKER_FILE
from ansible_collections.hpc.jupyter.plugins.module_utils.made_environment import Marker

WISH = Wish("a" * 64)
MARKER = Marker("a" * 64, complete=True)
SAFE = {"jupyterlab": "4.6.6", "jupyter-server": "2.21.1", "tornado": "6.6.1"}
GOOD = Installed("3.11.2", {}, SAFE)


def _found(marker: Marker = MARKER, python: Installed | str = GOOD) -> Found:
    return Found(exists=True, empty=False, marker=marker, python=python)


@pytest.mark.parametrize(
    ("wish", "found", "action", "reason"),
    [
        (WISH, Found(), "create", "there is none yet"),
        (WISH, Found(exists=True), "create", "there is none yet"),
        (WISH, _found(), "nothing", ""),
        (WISH, _found(python="/v/bin/python does not run: gone"), "rebuild", "/v/bin/python does not run: gone"),
        (WISH, _found(Marker("a" * 64)), "rebuild", "its installation was cut off"),
        (WISH, _found(python=Installed("3.11.2", {"jupyterlab": "ModuleNotFoundError: x"}, {})), "rebuild",
         "jupyterlab cannot be imported (ModuleNotFoundError: x)"),
        (Wish("a" * 64, python="python3.12"), _found(), "rebuild", "it should be made with python3.12"),
        (Wish("b" * 64), _found(), "update", "hpc.jupyter comes with other versions of its packages"),
        (Wish("a" * 64, packages=("numpy",)), _found(), "update", "other packages of your own are asked for"),
        (Wish("a" * 64, debugger=True), _found(), "update", "the debugger is asked for"),
        (WISH, _found(Marker("a" * 64, debugger=True, complete=True)), "update",
         "the debugger is not asked for any more"),
        (WISH, _found(python=Installed("3.11.2", {}, dict(SAFE, debugpy="1.8.0"))), "update",
         "debugpy has been installed, and with it other users of a node can get into a kernel"),
        (WISH, _found(python=Installed("3.11.2", {}, dict(SAFE, tornado="6.5.7"))), "update",
         "tornado 6.5.7 has known holes, 6.5.8 is the first without"),
    ],
)
def test_what_is_there_decides_what_is_done(wish: Wish, found: Found, action: str, reason: str) -> None:
    decided = environment.plan(wish, found, prefix="/v")
    assert decided == Plan(action, (reason,) if reason else ())


def test_an_environment_without_our_marker_is_left_alone() -> None:
    with pytest.raises(HpcJupyterError) as caught:
        environment.plan(WISH, Found(exists=True, empty=False), prefix="/home/alice/venv")
    assert str(caught.value) == (
        "/home/alice/venv is there already and was not made by hpc.jupyter, so it is left alone. To use it, set "
        "jupyter_environment_kind to existing; to have one made, set jupyter_environment_path to another place"
    )


def test_a_torn_marker_is_still_ours_and_not_complete(tmp_path: pathlib.Path) -> None:
    (tmp_path / MARKER_FILE).write_text('{"lock_sha')
    found = environment.look(str(tmp_path))
    assert found.marker == Marker("")
    assert environment.plan(WISH, found, prefix=str(tmp_path)).action == "rebuild"


def test_a_file_in_the_way_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "venv").write_text("")
    with pytest.raises(HpcJupyterError, match="/venv is in the way: it is not a directory"):
        environment.look(str(tmp_path / "venv"))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "jupyter_environment_path: is empty. Write the environment's directory, or its jupyter program"),
        ("/nowhere", "no JupyterLab at /nowhere: there is no such file or directory on this account"),
        ("/etc", "no JupyterLab at /etc: there is no jupyter program in /etc/bin"),
    ],
)
def test_an_existing_environment_that_is_none_says_what_is_missing(path: str, message: str) -> None:
    with pytest.raises((BadInput, HpcJupyterError)) as caught:
        environment.existing(path)
    assert str(caught.value) == message


def test_a_jupyter_without_jupyterlab_names_the_module(tmp_path: pathlib.Path) -> None:
    jupyter = tmp_path / "bin" / "jupyter"
    jupyter.parent.mkdir()
    jupyter.write_text(f"#!{sys.executable}\n")
    jupyter.chmod(0o755)
    with pytest.raises(HpcJupyterError) as caught:
        environment.existing(str(tmp_path))
    assert f"no JupyterLab at {tmp_path}: jupyterlab cannot be imported (ModuleNotFoundError: " in str(caught.value)


OLD = Installed("3.11.2", {}, {**SAFE, "jupyter-server": "2.17.0", "notebook": "6.5.7"})


def test_an_environment_with_known_holes_is_refused_unless_somebody_decided() -> None:
    with pytest.raises(HpcJupyterError) as caught:
        environment._usable("in the module lab", "/p", OLD, isolated=False, allow_old=False)
    assert str(caught.value) == (
        "the JupyterLab in the module lab is too old: jupyter-server 2.17.0 has known holes, 2.21 is the first "
        "without. Update it, or have an environment made (jupyter_environment_kind: venv); to use it all the same, set "
        "jupyter_environment_allow_old: true. Then run the playbook hpc.jupyter.setup"
    )
    assert environment._usable("in the module lab", "/p", OLD, isolated=False, allow_old=True).warnings == (
        "jupyter-server 2.17.0 has known holes, 2.21 is the first without: update the module lab",
        "notebook 6.5.7 has known holes, 7.5.6 is the first without: update the module lab",
    )


def test_what_can_not_be_secured_is_refused_whatever_was_decided() -> None:
    ancient = Installed("3.11.2", {}, {**SAFE, "jupyter-server": "2.13.0"})
    with pytest.raises(HpcJupyterError, match=r"sessions can be secured only from 2\.14 on"):
        environment._usable("at /p", "/p", ancient, isolated=False, allow_old=True)

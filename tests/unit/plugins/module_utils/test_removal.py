# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import activation, made_environment, removal
from ansible_collections.hpc.jupyter.plugins.module_utils.activation import Activation
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def set_up(root: Path, account: str = "alice@lab") -> Layout:
    (root / "server").mkdir(parents=True)
    (root / "job.sh").write_text("x")
    (root / "account.json").write_text(json.dumps({"account": account}))
    return Layout(str(root))


def below(path: Path) -> list[str]:
    return sorted(str(item.relative_to(path)) for item in path.rglob("*"))


def test_what_is_ours_goes_with_the_directories_that_are_empty_then(home: Path) -> None:
    layout = set_up(home / ".local/share/hpc-jupyter/lab")
    (home / ".local/bin").mkdir()
    (home / ".local/bin/hpc-session").symlink_to(layout.command)
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert planned.remove == (str(home / ".local/bin/hpc-session"), layout.root)
    assert below(home)
    removal.apply(planned)
    assert below(home) == []
    assert removal.plan(layout, cluster="lab", account="alice@lab") == removal.Removal(())


def test_what_is_not_ours_stays(home: Path) -> None:
    layout = set_up(home / ".local/share/hpc-jupyter/lab")
    (home / ".local/share/other").mkdir()
    (home / ".local/bin").mkdir()
    (home / ".local/bin/hpc-session").symlink_to("/somewhere/else/hpc-session")
    removal.apply(removal.plan(layout, cluster="lab", account="alice@lab"))
    assert below(home) == [".local", ".local/bin", ".local/bin/hpc-session", ".local/share", ".local/share/other"]


def test_a_directory_that_was_chosen_may_hold_something_else(home: Path) -> None:
    layout = set_up(home / "mine")
    (home / "mine/thesis.tex").write_text("x")
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert planned.kept == (str(home / "mine/thesis.tex"),)
    removal.apply(planned)
    assert below(home) == ["mine", "mine/thesis.tex"]


def test_a_directory_that_was_chosen_for_us_alone_goes_as_a_whole(home: Path) -> None:
    removal.apply(removal.plan(set_up(home / "mine"), cluster="lab", account="alice@lab"))
    assert below(home) == []


def test_a_directory_that_was_never_set_up_is_not_ours(home: Path) -> None:
    (home / "mine/server").mkdir(parents=True)
    planned = removal.plan(Layout(str(home / "mine")), cluster="lab", account="alice@lab")
    assert planned == removal.Removal((), (str(home / "mine/server"),))


def test_another_accounts_directory_is_refused(home: Path) -> None:
    layout = set_up(home / "mine", account="bob@lab")
    with pytest.raises(HpcJupyterError) as told:
        removal.plan(layout, cluster="lab", account="alice@lab")
    assert str(told.value) == f"{layout.root} was set up for bob@lab, not for alice@lab: name that account"
    assert os.path.exists(layout.account)


def lead_to(layout: Layout, prefix: Path, *, kind: str = activation.VENV, made: bool = True, mode: int = 0o700) -> None:
    prefix.mkdir(parents=True, exist_ok=True)
    prefix.chmod(mode)
    if made:
        made_environment.write_marker(str(prefix), made_environment.Marker("a" * 64))
        made_environment.use(str(prefix), layout.root)
    wanted = Activation(kind, python=f"{prefix}/bin/python", bin=f"{prefix}/bin")
    Path(layout.environment_script).write_text(activation.render(wanted))


def test_an_environment_that_we_made_elsewhere_goes_too(home: Path) -> None:
    layout = set_up(home / ".local/share/hpc-jupyter/lab")
    lead_to(layout, home / "the envs/lab")
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert planned == removal.Removal((layout.root,), environment=str(home / "the envs/lab"))
    removal.apply(planned)
    assert below(home) == ["the envs", "the envs/lab"]  # both were there already


@pytest.mark.parametrize(
    ("how", "note"),
    [
        ({"made": False}, "is not ours and stays"),
        ({"kind": activation.EXISTING}, "is not ours and stays"),
        ({"mode": 0o750}, "stays: its mode lets others use it"),
    ],
)
def test_an_environment_that_others_may_need_stays_and_is_named(home: Path, how: dict[str, Any], note: str) -> None:
    layout = set_up(home / "mine")
    lead_to(layout, home / "envs/lab", **how)
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert (planned.environment, planned.note) == ("", f"the environment {home}/envs/lab {note}")


def test_what_somebody_keeps_in_an_environment_stays(home: Path) -> None:
    layout = set_up(home / "mine")
    lead_to(layout, home / "jupyter")
    (home / "jupyter/pyvenv.cfg").write_text("x")
    (home / "jupyter/thesis.ipynb").write_text("x")
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert (planned.kept, planned.note) == ((f"{home}/jupyter/thesis.ipynb",), "")
    removal.apply(planned)
    assert below(home) == ["jupyter", "jupyter/thesis.ipynb"]


def test_an_environment_of_two_accounts_goes_with_the_last(home: Path) -> None:
    one, two = (set_up(home / f".local/share/hpc-jupyter/{name}", account=f"alice@{name}") for name in ("one", "two"))
    for layout in (one, two):
        lead_to(layout, home / "envs/both")
    planned = removal.plan(one, cluster="one", account="alice@one")
    assert planned.note == f"the environment {home}/envs/both stays while {two.root} uses it"
    removal.apply(planned)
    planned = removal.plan(two, cluster="two", account="alice@two")
    assert (planned.environment, planned.note) == (f"{home}/envs/both", "")
    removal.apply(planned)
    assert below(home) == ["envs", "envs/both"]  # both were there already


def test_an_environment_of_which_nobody_noted_the_users_stays(home: Path) -> None:
    layout = set_up(home / "mine")
    lead_to(layout, home / "envs/lab")
    Path(made_environment.user_file(f"{home}/envs/lab", layout.root)).unlink()
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    words = "stays: an earlier release made it, and it is not known who uses it"
    assert (planned.environment, planned.note) == ("", f"the environment {home}/envs/lab {words}")


def test_an_environment_of_ours_in_a_directory_that_was_chosen_goes_as_well(home: Path) -> None:
    layout = set_up(home / "mine")
    lead_to(layout, home / "mine/env")
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert (planned.environment, planned.kept, planned.note) == (f"{home}/mine/env", (), "")
    removal.apply(planned)
    assert below(home) == []


def test_an_environment_in_our_own_directory_needs_no_word(home: Path) -> None:
    layout = set_up(home / "mine")
    lead_to(layout, home / "mine/venv")
    planned = removal.plan(layout, cluster="lab", account="alice@lab")
    assert (planned.environment, planned.note) == ("", "")

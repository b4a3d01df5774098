# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import removal
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

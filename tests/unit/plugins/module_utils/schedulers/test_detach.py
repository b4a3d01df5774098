# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows are tried with the real tmux and screen elsewhere; here is what can be told without them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, SubmitRefused
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name, detach

_SHOW = ["/usr/bin/python3", "/tmp/x/jupyter.py"]


@pytest.mark.parametrize(("how", "joins", "argv"), [
    ("screen", False, ["/bin/screen", "-d", "-m", "-S", "hpc-jupyter-x", "-t", "jupyter", *_SHOW]),
    ("tmux", False, ["/bin/tmux", "new-session", "-d", "-s", "hpc-jupyter-x", "-n", "jupyter", *_SHOW]),
    ("tmux", True, ["/bin/tmux", "new-window", "-d", "-t", "=hpc-jupyter-x:", "-n", "jupyter", *_SHOW]),
])
def test_a_window_is_called_as_the_job_is(how: str, joins: bool, argv: list[str]) -> None:
    assert detach.window_argv(f"/bin/{how}", how, "hpc-jupyter-x", _SHOW, joins=joins) == argv


def test_a_job_s_environment_is_without_the_window_that_it_is_started_from(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMUX", "TMUX_PANE", "STY", "WINDOW", "KEPT"):
        monkeypatch.setenv(name, "x")
    assert set(os.environ) - set(detach.own_environment()) == {"TMUX", "TMUX_PANE", "STY", "WINDOW"}
    assert detach.own_environment()["KEPT"] == "x"


def test_a_missing_program_is_named_with_its_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(detach, "find_command", _missing)
    with pytest.raises(BadInput) as raised:
        by_name("none", root=str(tmp_path), detach="screen").check(Resources())
    assert str(raised.value) == (
        f"hpc_detach: there is no screen on {socket.gethostname()}. Install it there, or set hpc_detach: setsid and "
        "run the playbook hpc.jupyter.setup"
    )
    by_name("none", root=str(tmp_path)).check(Resources())


def _missing(name: str) -> str:
    raise FileNotFoundError(f"there is no {name} on PATH, nor on a login shell's PATH")


def test_a_tmux_that_hangs_has_refused_the_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmux = tmp_path / "tmux"
    tmux.write_text("#!/bin/sh\nexec sleep 60\n")
    tmux.chmod(0o755)
    monkeypatch.setattr(detach, "find_command", lambda _name: str(tmux))
    monkeypatch.setattr(detach, "_START_SECONDS", 0.2)
    with pytest.raises(SubmitRefused) as raised:
        detach.start(detach.Start(("/bin/true",), "/", "/dev/null", {}, name="x"), "tmux")
    assert str(raised.value) == (
        f"the job could not be started on {socket.gethostname()}: tmux did not answer within 0.2 seconds"
    )


def test_an_unknown_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"hpc_detach: 'nohup' is not one of setsid, tmux, screen"):
        by_name("none", root=str(tmp_path), detach="nohup")

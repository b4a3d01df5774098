"""Modules on their own, in somebody else's playbook, on an account of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.playbooks.plays import Home

ACCOUNT = {"account": "me@local", "cluster": "local", "scheduler": "none"}


def answer(home: Home, module: str, **arguments: Any) -> dict[str, Any]:
    """What a module returns."""
    told = home.path.parent / "told.json"
    tasks = [
        {f"hpc.jupyter.{module}": arguments, "register": "told", "ignore_errors": True},
        {"ansible.builtin.copy": {"content": "{{ told | to_json }}", "dest": str(told)}, "check_mode": False},
    ]
    play = home.path.parent / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    played = home.play(str(play), ansible_python_interpreter="{{ ansible_playbook_python }}")
    assert played.code == 0, played.out
    content = json.loads(told.read_text())
    assert isinstance(content, dict)
    return content


def test_session_info_of_an_account_without_sessions_is_an_empty_list(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    assert answer(home, "session_info", **ACCOUNT)["sessions"] == []
    assert not home.root.exists()


def test_session_says_what_is_missing_and_what_is_not_allowed(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    told = answer(home, "session", **ACCOUNT)
    assert told["msg"] == (
        f"me@local is not set up: {home.root}/job.sh is missing. "
        "Run: hpc-jupyter setup me@local (or: ansible-playbook hpc.jupyter.setup --limit me@local)"
    )
    assert answer(home, "session", **{**ACCOUNT, "scheduler": "slrum"})["msg"] == (
        "scheduler: 'slrum' is not one of none, slurm, pbs, sge, lsf"
    )


def test_a_session_that_does_not_run_cannot_be_restarted(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    told = answer(home, "session", **ACCOUNT, state="restarted")
    assert (told["msg"], told["kind"]) == (
        "session default of me@local has no Jupyter to start anew: there is no such session", "no_session")

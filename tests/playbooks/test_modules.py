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
        "scheduler: 'slrum' is not one of none, slurm"
    )


def test_a_session_that_does_not_run_cannot_be_restarted(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    told = answer(home, "session", **ACCOUNT, state="restarted")
    assert (told["msg"], told["kind"]) == (
        "session default of me@local has no Jupyter to start anew: there is no such session", "no_session")


def test_the_key_of_the_way_back_and_its_line_are_made_once_and_taken_away(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    (home.path / "root").mkdir(parents=True)
    keys = home.path / ".ssh" / "authorized_keys"
    wanted = {"root": "~/root", "cluster": "cori"}
    made = answer(home, "reverse_key", **wanted)
    line = keys.read_text()
    assert made["changed"] is True
    assert line == (
        f'restrict,port-forwarding,permitopen="127.0.0.1:1",command="exit 1" {made["public_key"]} '
        "hpc-jupyter-reverse-cori\n"
    )
    keys.write_text(f"ssh-rsa AAAAmine me\n{line}")
    assert answer(home, "reverse_key", **wanted)["changed"] is False
    assert answer(home, "reverse_key", **wanted, state="absent")["changed"] is True
    assert keys.read_text() == "ssh-rsa AAAAmine me\n"
    assert not list((home.path / "root").iterdir())
    assert answer(home, "reverse_key", **wanted, state="absent")["changed"] is False


def test_account_command_installs_itself_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    path = home.path / "hpc-session"
    assert answer(home, "account_command", path=str(path))["changed"] is True
    assert path.read_bytes().startswith(b"#!/")
    assert answer(home, "account_command", path=str(path))["changed"] is False

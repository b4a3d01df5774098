"""Runs the project's own playbooks, as a person would, for an account on this machine with a home of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.machine import ROOT

NAME = "me@local"
_RECAP = re.compile(r"^\S+\s+: ok=\d+\s+changed=(?P<changed>\d+)\s+unreachable=0\s+failed=(?P<failed>\d+)", re.M)


@dataclass(frozen=True)
class Played:
    """How a playbook ended."""

    code: int
    out: str

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        match = _RECAP.search(self.out)
        assert match, self.out
        return int(match["changed"])


@dataclass(frozen=True)
class Turn:
    """How one of several plays in one run ended: how many tasks changed something, what was shown after it, and all."""

    changed: int
    shown: str
    out: str


@dataclass(frozen=True)
class Home:
    """An account: a home directory that nothing else uses."""

    path: Path

    @property
    def root(self) -> Path:
        """The account's directory."""
        return self.path / ".local/share/hpc-jupyter/local"

    @property
    def server(self) -> Path:
        """Its Jupyter configuration."""
        return self.root / "server"

    def command(self, playbook: str, *options: str) -> list[str]:
        """The command that runs `playbook` on it."""
        inventory = self.path.parent / f"{self.path.name}-hosts.yml"
        facts = {"ansible_connection": "local", "hpc_scheduler": "none", "hpc_route": "local"}
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {NAME: facts}}}))
        program = Path(sys.executable).parent / "ansible-playbook"
        return [str(program), "-i", str(inventory), str(ROOT / "playbooks" / playbook), *options]

    def role(self, role: str, *options: str, **variables: object) -> Played:
        """Run one role alone, as a person's own playbook would."""
        playbook = self._playbook(role, [{"hosts": "all", "gather_facts": False, "roles": [f"hpc.jupyter.{role}"]}])
        python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        return self.play(str(playbook), *options, **python, **variables)

    def in_turn(
        self, role: str, *variables: Mapping[str, object], show: str, check: Sequence[int] = ()
    ) -> list[Turn]:
        """Run one role several times in one run of Ansible, which costs less than a run each.

        ``show`` is a shell command, run after each; ``check`` are those that are in check mode.
        """
        shown = {"ansible.builtin.debug": {"msg": "{{ lookup('ansible.builtin.pipe', show) }}"}, "vars": {"show": show}}
        plays: list[dict[str, Any]] = [
            {"name": "turn", "hosts": "all", "gather_facts": False, "roles": [f"hpc.jupyter.{role}"],
             "vars": dict(each), "check_mode": number in check, "diff": True, "post_tasks": [shown]}
            for number, each in enumerate(variables)
        ]  # fmt: skip
        playbook = self._playbook(f"{role}-in-turn", plays)
        done = self.play(str(playbook), ansible_python_interpreter="{{ ansible_playbook_python }}")
        assert done.code == 0, done.out
        turns = [text.partition("\nPLAY RECAP ")[0] for text in done.out.split("\nPLAY [turn] ")[1:]]
        return [Turn(len(re.findall(r"^changed: ", text, re.M)), _told(text), text) for text in turns]

    def refusals(
        self, role: str, *variables: Mapping[str, object], options: Sequence[str] = ()
    ) -> tuple[list[str], str]:
        """What one run of Ansible says of each of these, all of which a role refuses, and all that it shows."""
        include = {"ansible.builtin.include_role": {"name": f"hpc.jupyter.{role}"}}
        say = {"name": "refused", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}
        tasks = [{"block": [{**include, "vars": dict(each)}], "rescue": [say]} for each in variables]
        playbook = self._playbook(f"{role}-refused", [{"hosts": "all", "gather_facts": False, "tasks": tasks}])
        run = self.play(str(playbook), *options, ansible_python_interpreter="{{ ansible_playbook_python }}")
        said = [_told(text.partition("\n}")[0] + "}") for text in run.out.split("\nTASK [refused] ")[1:]]
        assert len(said) == len(variables), run.out
        return said, run.out

    def _playbook(self, name: str, plays: list[dict[str, Any]]) -> Path:
        """One that only its owner can read: there may be a password in it."""
        path = self.path.parent / f"{name}.yml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(plays))
        return path

    def environment(self) -> dict[str, str]:
        """The environment in which it runs."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "XDG_"))}
        # pip asks rustc for its version, and rustup would make a directory in the home for that
        own["RUSTUP_HOME"] = str(self.path.parent / "rustup")
        return {**own, "HOME": str(self.path), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"), "COLUMNS": "1000"}  # fmt: skip

    def play(self, playbook: str, *options: str, **variables: object) -> Played:
        """Run `playbook`; `variables` go through a private file, as secrets should."""
        given = self.path.parent / f"{self.path.name}-vars.yml"
        given.write_text(yaml.safe_dump(variables))
        given.chmod(0o600)
        done = subprocess.run(
            self.command(playbook, *options, "-e", f"@{given}"), cwd=self.path, env=self.environment(), check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280,
        )  # fmt: skip
        return Played(done.returncode, done.stdout)

    def listing(self) -> dict[str, tuple[int, int, int]]:
        """Every path below the home but Ansible's own: mode, size and time of change."""
        paths = (path for path in self.path.rglob("*") if not {".ansible", "__pycache__"} & set(path.parts))
        stats = ((path, path.lstat()) for path in paths if not path.is_dir() or path.is_symlink())
        return {str(path): (stat.st_mode, stat.st_size, stat.st_mtime_ns) for path, stat in stats}

    def contents(self) -> dict[str, tuple[int, str]]:
        """Every path below the home, Ansible's own too: mode, and content or where it leads."""
        return {str(path): (path.lstat().st_mode, _content(path)) for path in self.path.rglob("*")}


def _content(path: Path) -> str:
    if path.is_symlink():
        return os.readlink(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _told(text: str) -> str:
    """What the last debug task of a play says."""
    told = json.loads(text.rpartition(" => ")[2])["msg"]
    assert isinstance(told, str)
    return told

"""A play that is started before anybody knows whether it is needed, by the real Ansible."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import gate

from hpc_jupyter.events import Step
from hpc_jupyter.play import Play, Started

PLAY = """\
- hosts: all
  gather_facts: false
  vars: {ansible_connection: local, hpc_scheduler: none, hpc_route: local}
  tasks:
    - ansible.builtin.copy: {content: "", dest: "{{ playbook_dir }}/came", mode: "0600"}
    - hpc.jupyter.connect:
    - ansible.builtin.copy: {content: "", dest: "{{ playbook_dir }}/went-through", mode: "0600"}
    - ansible.builtin.command: cat {{ playbook_dir }}/last
      changed_when: false
"""

LAUNCH = """\
- hosts: all
  gather_facts: false
  vars: {ansible_connection: local, hpc_scheduler: none, hpc_route: local}
  tasks:
    - hpc.jupyter.connect: {later: true}
    - ansible.builtin.copy: {content: "", dest: "{{ playbook_dir }}/came", mode: "0600"}
    - hpc.jupyter.session: {account: here, cluster: here, scheduler: none, root: "{{ playbook_dir }}/root"}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A playbook that tells how far it has come, and a temporary directory in which every leftover shows."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("ANSIBLE_PYTHON_INTERPRETER", sys.executable)
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "last").touch()
    return tmp_path


def play(place: Path) -> Play:
    """That playbook, for the account ``here``."""
    return Play(str(place / "play.yml"), inventory=["here,"], accounts=["here"])


def until(condition: Callable[[], bool], *, seconds: float = 30.0) -> bool:
    """Whether ``condition`` came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def is_over(place: Path) -> bool:
    """Whether Ansible and its processes are gone, with the thread that watches them and all their files."""
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=10).stdout
    watched = any(thread.name == "play" for thread in threading.enumerate())
    return str(place / "play.yml") not in shown and not watched and not list((place / "tmp").iterdir())


def quiet(_step: Step) -> None:
    """Watch nothing."""


def test_it_goes_on_when_it_is_wanted(place: Path) -> None:
    with Started(play(place)) as started:
        assert until((place / "came").exists)
        assert not (place / "went-through").exists()
        assert started.go_on(quiet).succeeded
    assert (place / "went-through").exists()
    assert until(lambda: is_over(place))


def test_what_is_left_for_later_waits_where_the_session_is_looked_for(place: Path) -> None:
    (place / "play.yml").write_text(LAUNCH)
    told: list[str] = []
    with Started(play(place)) as started:
        assert until((place / "came").exists)
        (place / "root").mkdir()  # a module that had looked already would have found none
        for name in ("job.sh", "hpc-session"):
            (place / "root" / name).touch()
        result = started.go_on(lambda step: told.append(step.task))
    assert result.message.startswith(f"here is not set up: {place}/root/environment.sh is missing. ")
    assert not result.hosts["here"].unreachable


def test_left_it_ends_without_having_gone_on(place: Path) -> None:
    with Started(play(place)):
        assert until((place / "came").exists)
    assert until(lambda: is_over(place))
    assert not (place / "went-through").exists()


def test_left_at_once_it_ends_too(place: Path) -> None:
    with Started(play(place)):
        pass
    assert until(lambda: is_over(place))
    assert not (place / "went-through").exists()


def test_when_whoever_started_it_is_killed_it_does_nothing(place: Path) -> None:
    program = (
        "import sys, time\nfrom hpc_jupyter.play import Play, Started\n"
        "with Started(Play(sys.argv[1], inventory=['here,'], accounts=['here'])): time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(place / "play.yml")])
    try:
        assert until((place / "came").exists)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait(timeout=10)
    shown = ["ps", "-eo", "args"]
    gone = until(lambda: str(place / "play.yml") not in subprocess.check_output(shown, text=True, timeout=10))
    assert gone
    assert not (place / "went-through").exists()


def test_an_end_that_nobody_waits_for_comes_all_the_same(place: Path) -> None:
    (place / "last").unlink()
    os.mkfifo(place / "last")
    with Started(play(place)) as started:

        def watch(step: Step) -> None:
            if step.kind == "start" and step.task.endswith("command"):
                started.enough()

        assert started.go_on(watch).succeeded
        assert not is_over(place)
    assert not is_over(place)
    with open(place / "last", "w", encoding="ascii"):
        pass
    assert until(lambda: is_over(place))


def test_a_playbook_that_fails_before_is_told_when_it_is_wanted(place: Path) -> None:
    (place / "play.yml").write_text("- ]\n")
    with Started(play(place)) as started:
        assert until(lambda: is_over(place))
        assert started.go_on(quiet).message.startswith("Ansible could not start: YAML parsing failed")


def test_a_gate_that_is_gone_or_was_left_lets_nobody_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "gate")
    monkeypatch.setenv(gate.VARIABLE, path)
    said = "the hpc-jupyter that started this play has ended; nothing was done"
    with pytest.raises(HpcJupyterError, match=said):
        gate.pass_through()
    with gate.closed(path):
        pass
    with pytest.raises(HpcJupyterError, match=said):
        gate.pass_through()
    os.unlink(path)
    assert not gate.is_closed()
    path = str(tmp_path / "another")
    monkeypatch.setenv(gate.VARIABLE, path)
    with gate.closed(path) as open_it:
        assert gate.is_closed()
        open_it()
        assert not gate.is_closed()
        gate.pass_through()
    monkeypatch.delenv(gate.VARIABLE)
    os.unlink(path)
    gate.pass_through()

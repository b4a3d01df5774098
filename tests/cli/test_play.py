"""Plays, run by the real Ansible: values stay literal, failures are told, nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import gate

from hpc_jupyter import play as plays
from hpc_jupyter.events import HostResult, PlayResult, Step
from hpc_jupyter.play import Play, Started, run

HEAD = "- hosts: all\n  gather_facts: false\n  connection: local\n  tasks:\n"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory in which every leftover shows."""
    path = tmp_path / "tmp"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.setenv("ANSIBLE_PYTHON_INTERPRETER", sys.executable)
    return path


def play(tmp_path: Path, tasks: str, **options: Any) -> Play:
    """A playbook of these tasks for the account ``here``."""
    path = tmp_path / "play.yml"
    path.write_text(HEAD + tasks)
    return Play(str(path), inventory=["here,"], accounts=["here"], **options)


def quiet(_: Step) -> None:
    """Watch nothing."""


@pytest.mark.rows("T16", "B19", "B20")
def test_values_are_data(tmp_path: Path) -> None:
    values = [
        f"{{{{ lookup('pipe', 'touch {tmp_path}/canary') }}}}", "{% raw %}x", "$(id)", "a'b\"c\\", " two\nlines ",
        "é ✓", "2:00:00", "yes", "8", "", "@x", "!unsafe x", "{{",
    ]  # fmt: skip
    seen: list[Step] = []
    wanted = play(
        tmp_path, "    - ansible.builtin.debug: {msg: '<{{ jupyter_x | to_json }}>'}\n",
        variables={"jupyter_x": {"inner": values, "number": 8, "flag": True}},
    )  # fmt: skip
    assert run(wanted, seen.append).succeeded
    [told] = [step.result["msg"] for step in seen if step.kind == "ok"]
    got = json.loads(told[1:-1])
    assert got.pop("inner") == values
    assert got == {"number": 8, "flag": True}
    assert not (tmp_path / "canary").exists()


def test_a_failure_is_told_as_it_is(tmp_path: Path, temporary: Path) -> None:
    result = run(play(tmp_path, "    - ansible.builtin.fail: {msg: 'the disk is full on c2'}\n"), quiet)
    action = "ansible.builtin.fail"
    failed = HostResult("here", failed=True, message="the disk is full on c2", failed_action=action)
    assert result == PlayResult(succeeded=False, hosts={"here": failed}, message="the disk is full on c2")
    assert list(temporary.iterdir()) == []


def test_a_modules_kind_of_failure_is_kept(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "told.py").write_text(_FAILED)
    assert run(play(tmp_path, "    - told: {}\n"), quiet).hosts["here"].kind == "busy"


_FAILED = """\
from ansible.module_utils.basic import AnsibleModule
AnsibleModule(argument_spec={}).fail_json(msg="another process works on it", kind="busy")
"""


def test_a_failed_item_of_a_loop_is_told(tmp_path: Path) -> None:
    tasks = "    - ansible.builtin.fail: {msg: 'no {{ item }}'}\n      loop: [conda, pip]\n"
    assert run(play(tmp_path, tasks), quiet).message == "no conda"


def test_a_failure_that_the_play_ignores_is_none(tmp_path: Path) -> None:
    tasks = "    - ansible.builtin.fail: {msg: x}\n      ignore_errors: true\n    - ansible.builtin.debug:\n"
    assert run(play(tmp_path, tasks), quiet).succeeded


def test_a_playbook_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    result = run(play(tmp_path, "    - ]\n"), quiet)
    assert not result.succeeded
    assert result.message.startswith("Ansible could not start: YAML parsing failed")


def test_an_account_that_no_source_knows_is_told(tmp_path: Path) -> None:
    wanted = play(tmp_path, "    - ansible.builtin.debug:\n")
    result = run(Play(wanted.playbook, inventory=["other,"], accounts=["here"]), quiet)
    assert not result.succeeded
    assert "Traceback" not in result.message


def test_the_session_of_the_last_task_is_the_answer(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "told.py").write_text(_TOLD)
    tasks = "".join(f"    - told: {{state: {state}}}\n" for state in ("queued", "starting", "ready"))
    seen: list[Step] = []
    result = run(play(tmp_path, tasks), seen.append)
    assert result.hosts["here"].session == {"session": "default", "state": "ready"}
    assert [step.result["session"]["state"] for step in seen if step.kind == "ok"] == ["queued", "starting", "ready"]


_TOLD = """\
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"state": {"type": "str"}})
module.exit_json(changed=False, session={"session": "default", "state": module.params["state"]})
"""


@pytest.mark.rows("T20")
def test_a_secret_goes_through_a_private_file_and_is_gone_afterwards(tmp_path: Path, temporary: Path) -> None:
    tasks = (
        "    - ansible.builtin.copy: {content: '{{ jupyter_server_password }}', dest: '%s', mode: '0600'}\n"
        "      no_log: true\n    - ansible.builtin.command: ps -eo args\n      changed_when: false\n"
    ) % (tmp_path / "out")  # fmt: skip
    seen: list[Step] = []
    found: list[str] = []

    def watch(step: Step) -> None:
        seen.append(step)
        found.extend(_files_holding(temporary, "canary-secret"))

    wanted = play(tmp_path, tasks, secrets={"jupyter_server_password": " canary-secret {{ x }} \n"}, verbosity=3)
    assert run(wanted, watch).succeeded
    assert (tmp_path / "out").read_text() == " canary-secret {{ x }} \n"
    names = {Path(name).relative_to(temporary).parts[1] for name in found}
    assert names - {"tmp"} == {"secret-0"}  # what the task "copy" itself makes below tmp is private too
    assert "canary-secret" not in json.dumps([dict(step.result) for step in seen])
    assert list(temporary.iterdir()) == []


def _files_holding(directory: Path, text: str) -> list[str]:
    argv = ["grep", "-rl", text, str(directory)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    return shown.stdout.split()


def test_our_environment_and_variables_are_not_kept_while_it_runs(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODYS_API_KEY", "canary-environment")
    found: list[str] = []

    def watch(step: Step) -> None:
        if step.kind in ("start", "ok"):
            found.extend(_files_holding(temporary, "canary-"))

    wanted = play(tmp_path, "    - ansible.builtin.debug: {msg: x}\n", variables={"jupyter_x": "canary-value"})
    assert run(wanted, watch).succeeded
    assert found == []


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_an_interrupt_stops_ansible_and_what_it_runs(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    tasks = "    - ansible.builtin.command: sleep 61.25\n      changed_when: false\n"

    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not _running("sleep 61.25") and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    before = signal.getsignal(number)
    result = run(play(tmp_path, tasks), quiet)
    assert (result.interrupted, result.succeeded) == (True, False)
    assert signal.getsignal(number) == before
    deadline = time.monotonic() + 5
    while _running("sleep 61.25") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _running("sleep 61.25")
    assert list(temporary.iterdir()) == []


def _running(command: str) -> bool:
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=10)
    return command in shown.stdout.splitlines()


@pytest.mark.rows("T20")
def test_what_a_killed_run_left_is_removed_at_the_next_start(temporary: Path) -> None:
    old, live, others = (temporary / f"hpc-jupyter-play-{name}" for name in ("old", "live", "link"))
    old.mkdir()
    (old / "secret-0").write_text("canary")
    os.utime(old, (0, 0))
    others.symlink_to(temporary)
    with plays._private_directory() as mine:
        os.utime(mine, (0, 0))
        live.mkdir()
        plays.clean_up_after_the_dead()
        assert sorted(temporary.iterdir()) == sorted([live, mine, others])


@pytest.mark.rows("T20")
def test_nothing_is_left_by_workers_that_outlive_their_ansible(temporary: Path) -> None:
    def go_on_writing(cache: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                (cache / secrets.token_hex(8)).touch()
                time.sleep(0.0002)

    with plays._private_directory() as mine:
        (mine / "cache").mkdir()
        worker = threading.Thread(target=go_on_writing, args=(mine / "cache",))
        worker.start()
        time.sleep(0.02)
    assert list(temporary.iterdir()) == []
    worker.join(timeout=10)
    assert list(temporary.iterdir()) == []


@pytest.mark.rows("T20")
def test_what_still_packs_is_waited_for(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    packed: list[bool] = []

    def pack() -> None:
        with gate.kept() as is_kept:
            begun.set()
            time.sleep(0.3)
            (mine / "cache").mkdir()
            packed.append(is_kept)

    with plays._private_directory() as mine, gate.closed(str(mine / "gate")):
        monkeypatch.setenv(gate.VARIABLE, str(mine / "gate"))
        worker = threading.Thread(target=pack)
        worker.start()
        begun.wait(10)
    assert (packed, list(temporary.iterdir())) == ([True], [])
    with gate.kept() as is_kept:
        assert not is_kept
    worker.join(timeout=10)


def test_host_keys_are_checked_whatever_ansible_runner_prefers(tmp_path: Path) -> None:
    seen: list[Step] = []
    tasks = "    - ansible.builtin.debug: {msg: \"{{ lookup('ansible.builtin.config', 'HOST_KEY_CHECKING') }}\"}\n"
    run(play(tmp_path, tasks), seen.append)
    assert [step.result["msg"] for step in seen if step.kind == "ok"] == [True]


def test_a_play_packs_its_module_while_nobody_knows_whether_it_is_wanted(tmp_path: Path, temporary: Path) -> None:
    tasks = (
        "    - hpc.jupyter.connect: {later: true, pack: hpc.jupyter.session}\n"
        "    - hpc.jupyter.session: {account: here, cluster: here, scheduler: none}\n"
    )
    with Started(play(tmp_path, tasks)):
        deadline = time.monotonic() + 60
        while not list(temporary.rglob("ansiballz_cache/*.hpc.jupyter.plugins.modules.session-*[!k]")):
            assert time.monotonic() < deadline, "nothing was packed"
            time.sleep(0.05)
    while list(temporary.iterdir()):
        assert time.monotonic() < deadline, "what was packed is left"
        time.sleep(0.05)

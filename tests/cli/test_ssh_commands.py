"""Commands over ssh, and the questions that ssh asks, with real OpenSSH servers on loopback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from tests.cli.ssh_servers import ME, Way


def _login_shell(way: Way, command: str) -> None:
    way.login.stop()
    way.login.options = [f"ForceCommand {command}"]
    way.login.start()


@pytest.mark.parametrize("shell", ["sh", "bash", "tcsh"])
@pytest.mark.rows("F41", "F42")
def test_command_is_framed_in_every_shell(way: Way, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    _login_shell(way, f'echo noise; printf "\\377\\n"; {shell} -c "$SSH_ORIGINAL_COMMAND"; echo more noise')
    way.open()
    words = ["it's", "a !b", '$HOME `id` "', "x\ny", "*"]
    answer = ssh.run_remote(way.cluster, way.files, [sys.executable, "-c", "import sys; print(sys.argv[1:])", *words])
    assert (answer.code, answer.stdout) == (0, f"{words}\n")


def test_command_below_the_home_directory_and_its_exit_code(way: Way) -> None:
    answer = ssh.run_remote(way.cluster, way.files, ["~/does not exist"])
    assert answer.code == 127
    assert "/does not exist" in answer.stderr
    assert "~" not in answer.stderr


def test_command_without_a_master_leaves_none(way: Way) -> None:
    assert ssh.run_remote(way.cluster, way.files, ["echo", "x"]).stdout == "x\n"
    assert not ssh.master_alive(way.files)


def test_command_that_does_not_end(way: Way) -> None:
    way.open()
    with pytest.raises(ssh.ConnectFailed, match=r"^lab: sleep did not answer within 1 seconds$"):
        ssh.run_remote(way.cluster, way.files, ["sleep", "60"], timeout_seconds=1)


@pytest.mark.rows("F42")
def test_login_shell_that_runs_nothing(way: Way) -> None:
    _login_shell(way, "echo This account is currently not available.; exit 1")
    with pytest.raises(ssh.ConnectFailed) as told:
        ssh.run_remote(way.cluster, way.files, ["true"])
    assert str(told.value) == (
        f"lab: the login shell of {ME}@lab runs no commands (exit 1): This account is currently not available."
    )


def test_local_account_needs_no_ssh(way: Way) -> None:
    local = Cluster(name="local", account="local", user="", local=True)
    assert ssh.open_master(local, way.files) is False
    assert ssh.run_remote(local, way.files, ["echo", "it's"]).stdout == "it's\n"


def _askpass(way: Way, body: str) -> str:
    program = way.home / "askpass"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700)
    return str(program)


def test_question_is_put_to_the_askpass_program(way: Way) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", way.home / "id"], check=True, capture_output=True)
    asked = way.home / "asked"
    assert way.open(askpass=_askpass(way, f'echo "$1" >> {asked}; echo "$WORD"'), environment={"WORD": "secret"})
    assert asked.read_text().startswith(f"Enter passphrase for key '{way.home / 'id'}'")


def test_without_askpass_nothing_is_asked(way: Way) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", way.home / "id"], check=True, capture_output=True)
    assert "a key with a passphrase must be in the agent (ssh-add)" in way.failure()


def test_banner_is_shown_whatever_its_bytes(way: Way) -> None:
    (way.home / "banner").write_bytes(b"Willkommen, T\xfcr ist offen\nGr\xc3\xbc\xc3\x9fe\n")
    way.gate.stop()
    way.gate.options = [f"Banner {way.home / 'banner'}"]
    way.gate.start()
    shown: list[str] = []
    show: Callable[[str], None] = shown.append
    assert way.open(askpass="/bin/false", show=show)
    assert len(shown) == 2
    assert shown[0].startswith("Willkommen, T")

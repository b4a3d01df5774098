"""One name that several login hosts answer to: the one that a session depends on is reached by a further hop."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import interpreter, ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import master_pid

from hpc_jupyter.access import Access
from hpc_jupyter.following import Following
from hpc_jupyter.progress import Quiet
from tests.cli.ssh_servers import Server, Way, make_keys

OTHER = "127.0.0.4"
# Which address sshd was reached on tells which login host this is.
_COMMAND = """\
#!/bin/sh
host=first
case "$SSH_CONNECTION" in *" 127.0.0.4 "*) host=127.0.0.4 ;; esac
echo "noise of the login"
told="\\"host\\": \\"$host\\", \\"pinned\\": $(cat "$(dirname "$0")/pinned")"
case $1 in
where) printf '%s {%s}\\n' "$3" "$told" ;;
attach) printf '%s {%s, "error": "asked on %s", "code": 4, "version": "0.1.0"}\\n' "$5" "$told" "$host" && cat ;;
*) exit 2 ;;
esac
"""


@dataclass
class Several:
    """Another login host behind the one that answers to the cluster's name."""

    way: Way
    other: Server

    def pin(self, host: str | None = OTHER, *, key: str = "") -> None:
        """What a session on the account depends on."""
        pinned = {"host": host, "host_keys": [key or self.other.public_key()]} if host else None
        (Path(self.way.cluster.root) / "pinned").write_text(json.dumps(pinned))

    def reached(self) -> str:
        """The address that Ansible, commands and forwards reach."""
        told = ssh.run_remote(self.way.cluster, self.way.files, ["sh", "-c", "echo $SSH_CONNECTION"])
        return told.stdout.split()[2]


@pytest.fixture
def several(way: Way) -> Iterator[Several]:
    """Two login hosts with keys of their own, at the same port."""
    make_keys(way.home / "other", "ed25519", "rsa")
    other = Server(way.home / "other", OTHER, way.login.port)
    other.start()
    root = way.home / "root"
    root.mkdir()
    (root / "hpc-session").write_text(_COMMAND)
    (root / "hpc-session").chmod(0o755)
    way.write(root=str(root))
    yield Several(way, other)
    other.stop()


@pytest.mark.rows("F39")
def test_the_way_goes_on_to_the_login_host_that_a_session_depends_on(several: Several) -> None:
    several.pin()
    assert several.way.open()
    assert several.reached() == OTHER
    plain = ["ssh", "-F", several.way.files.config, "lab", "echo $SSH_CONNECTION"]
    assert subprocess.run(plain, capture_output=True, check=True, text=True).stdout.split()[2] == OTHER


@pytest.mark.rows("F39")
@pytest.mark.parametrize("host", [OTHER, None])
def test_a_session_is_asked_about_on_the_host_that_the_way_goes_on_to(several: Several, host: str | None) -> None:
    several.pin(host)
    access = Access(several.way.cluster, several.way.files)
    with Following(access, "default") as following:
        access.log_in(Quiet(), interactive=False, look=following.look)
        assert str(following.see().session) == f"asked on {host or 'first'}"
    assert several.reached() == (host or "127.0.0.2")


@pytest.mark.rows("F39")
def test_a_release_that_follows_nothing_leads_on_as_well(several: Several) -> None:
    older = _COMMAND.replace("attach)", 'attach) [ "$6" ] && exit 2;')
    (Path(several.way.cluster.root) / "hpc-session").write_text(older)
    several.pin()
    access = Access(several.way.cluster, several.way.files)
    with Following(access, "default") as following:
        access.log_in(Quiet(), interactive=False, look=following.look)
        assert str(following.see().session) == f"asked on {OTHER}"
    assert several.reached() == OTHER


@pytest.mark.rows("F39")
def test_a_python_that_does_not_answer_costs_no_way(several: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = several.way.home / "slow"
    slow.write_text("#!/bin/sh\nsleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setattr(interpreter, "_SEARCH_SECONDS", 1)
    several.way.write(root=several.way.cluster.root, python=str(slow))
    several.pin()
    several.way.open()
    assert several.reached() == OTHER


def test_both_connections_end_together_and_leave_nothing(several: Several) -> None:
    several.pin()
    several.way.open()
    files = several.way.files
    assert master_pid(files.entrance)
    assert ssh.close_master(files)
    assert (master_pid(files.entrance), master_pid(files.control)) == (0, 0)
    assert not Path(files.entrance).exists()
    assert several.way.open()
    assert several.reached() == OTHER


def test_the_host_that_answers_will_do_where_nothing_depends_on_another(several: Several) -> None:
    several.pin(None)
    several.way.open()
    assert several.reached() == "127.0.0.2"
    assert not Path(several.way.files.entrance).exists()


def test_the_right_host_at_once_needs_no_further_hop(several: Several) -> None:
    several.pin("first")
    several.way.open()
    assert several.reached() == "127.0.0.2"
    assert not Path(several.way.files.entrance).exists()


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "a b", "x\n  ProxyCommand y"])
def test_a_host_that_is_none_is_not_gone_to(several: Several, host: str) -> None:
    several.pin(host)
    several.way.open()
    assert several.reached() == "127.0.0.2"


@pytest.mark.rows("F39")
def test_a_host_with_another_key_is_not_entered(several: Several) -> None:
    several.pin(key=several.way.gate.public_key())
    several.way.open()
    assert several.reached() == "127.0.0.2"
    assert "Accepted" not in (several.other.directory / "log").read_text()


def test_a_host_that_is_down_leaves_the_way_as_it_was(several: Several) -> None:
    several.pin()
    several.other.stop()
    assert several.way.open()
    assert several.reached() == "127.0.0.2"
    assert ssh.master_alive(several.way.files)

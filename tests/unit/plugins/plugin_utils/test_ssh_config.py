# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import node_keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import (
    Files,
    render,
    state_directory,
    write,
)

PIN = Pin("SHA256:" + "A" * 43)
KEY = "ssh-ed25519 " + "A" * 68
CLUSTER = Cluster(
    name="lab", account="alice@lab", user="alice", login_hosts=("login.example.org",), scheduler="slurm",
    gateways=(Gateway("gate.example.org", "bob", 2201), Gateway("inner", "alice")),
    host_keys=(("gate.example.org", (PIN,)), ("login.example.org", (Pin(PIN.fingerprint, "RSA"),))),
)
OWN = """\
Host gate.example.org
    IdentityFile /own/gate
Host lab
    IdentityFile /own/lab
Host hop.example.org
    HostName hop.internal
Host *
    StrictHostKeyChecking no
    ForwardAgent yes
    ControlMaster yes
    ControlPath /own/control
    UserKnownHostsFile /own/known
    User mallory
    Port 23
    RemoteCommand tmux
    RequestTTY force
    CanonicalizeHostname yes
"""

needs_ssh = pytest.mark.skipif(not shutil.which("ssh"), reason="there is no ssh here")


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Files:
    own = tmp_path / "own"
    own.write_text(OWN)
    own.chmod(0o600)
    return write(CLUSTER, directory=str(tmp_path / "s"), own_configs=[str(own)])


def effective(config: str, host: str) -> dict[str, str]:
    """What the real ssh makes of it."""
    told = subprocess.run(["ssh", "-G", "-F", config, host], capture_output=True, check=True, text=True, timeout=20)
    return dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)


SAME = {"stricthostkeychecking": "true", "forwardagent": "no", "requesttty": "auto", "canonicalizehostname": "false",
        "serveraliveinterval": "10", "serveralivecountmax": "3"}
WAY = [
    ("lab", {"hostname": "login.example.org", "user": "alice", "port": "22", "proxyjump": "lab-gateway-2",
             "controlmaster": "auto", "userknownhostsfile": "/dev/null", "controlpersist": "600",
             "hostkeyalgorithms": "rsa-sha2-512,rsa-sha2-256", "identityfile": "/own/lab"}),
    ("lab-gateway-2", {"hostname": "inner", "user": "alice", "port": "22", "proxyjump": "lab-gateway-1",
                       "controlmaster": "false", "userknownhostsfile": "/own/known"}),
    ("lab-gateway-1", {"hostname": "gate.example.org", "user": "bob", "port": "2201", "controlmaster": "false",
                       "userknownhostsfile": "/dev/null", "identityfile": "/own/gate"}),
]


@needs_ssh
@pytest.mark.parametrize(("host", "expected"), WAY)
def test_own_config_comes_after_what_must_hold(files: Files, host: str, expected: dict[str, str]) -> None:
    got = effective(files.config, host)
    wanted = {**SAME, **expected}
    assert {name: got.get(name) for name in wanted} == wanted
    assert "remotecommand" not in got
    assert got.get("controlpath") == (files.control if host == "lab" else None)


@needs_ssh
def test_recorded_node_is_behind_the_login_host(files: Files) -> None:
    node_keys.record(files.directory, "c2", [KEY], addresses=["10.0.0.2"])
    for name in ("c2", "10.0.0.2"):
        got = effective(files.config, name)
        assert (got["proxyjump"], got["user"], got["userknownhostsfile"]) == ("lab", "alice", files.node_known_hosts)
        assert got["stricthostkeychecking"] == "true"


@needs_ssh
def test_hop_of_the_persons_own_is_left_alone(files: Files) -> None:
    got = effective(files.config, "hop.example.org")
    assert (got["hostname"], got["user"], got["stricthostkeychecking"]) == ("hop.internal", "mallory", "false")
    assert "proxyjump" not in got


@needs_ssh
def test_batch_and_asking_differ_on_every_hop(files: Files) -> None:
    for host in ("lab", "lab-gateway-1"):
        assert effective(files.batch_config, host)["batchmode"] == "yes"
        assert effective(files.asking_config, host)["batchmode"] == "no"


def test_node_named_like_the_cluster_is_the_login_host(files: Files) -> None:
    node_keys.record(files.directory, "lab", [KEY])
    if shutil.which("ssh"):
        assert effective(files.config, "lab")["hostname"] == "login.example.org"


def test_keys_of_a_node_are_replaced_and_those_of_others_kept(tmp_path: Path) -> None:
    directory = str(tmp_path / "s")
    other, new = "ssh-rsa " + "B" * 372, "ssh-ed25519 " + "C" * 68
    node_keys.record(directory, "c1", [KEY, other])
    node_keys.record(directory, "c2", [KEY])
    node_keys.record(directory, "c1", [new])
    assert Path(Files(directory).node_known_hosts).read_text() == f"c2 {KEY}\nc1 {new}\n"
    assert "Match originalhost c1,c2\n" in Path(Files(directory).nodes).read_text()
    assert os.stat(Files(directory).node_known_hosts).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("node", "key", "message"),
    [
        ("c2\nHost *", KEY, "node: 'c2\\nHost *' is not a host name"),
        ("*", KEY, "node: '*' is not a host name"),
        ("c2", "x\n@cert * y", "host_keys: the record of c2 holds 'x\\n@cert * y', which is no public key"),
    ],
)
def test_record_cannot_smuggle_lines_in(tmp_path: Path, node: str, key: str, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        node_keys.record(str(tmp_path), node, [key])
    assert str(refused.value) == message


def test_old_ssh_is_refused_only_with_pins() -> None:
    with pytest.raises(BadInput) as refused:
        render(CLUSTER, directory="/s", openssh=(8, 4))
    assert str(refused.value) == (
        "hpc_host_keys: pinned fingerprints need OpenSSH 8.5 or newer, here is 8.4. Update OpenSSH on this machine"
    )
    plain = Cluster(name="lab", account="alice@lab", user="alice", login_hosts=("login",))
    text = render(plain, directory="/s", openssh=(8, 4))
    assert "KnownHostsCommand" not in text
    assert "SessionType" not in text


def test_state_directory_must_suit_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/" + "x" * 70)
    with pytest.raises(BadInput) as refused:
        state_directory("alice@lab")
    assert str(refused.value) == (
        f"state directory: /{'x' * 70}/hpc-jupyter/alice@lab is too long for a socket (101 bytes, allowed are 89). "
        "Set XDG_STATE_HOME to a shorter path, such as /tmp/$USER-state made with mode 0700"
    )
    monkeypatch.setenv("XDG_STATE_HOME", '/a"b')
    with pytest.raises(BadInput, match="has characters ssh_config cannot hold"):
        state_directory("alice@lab")


def test_state_directory_ignores_a_relative_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/alice")
    assert state_directory("alice@lab") == "/home/alice/.local/state/hpc-jupyter/alice@lab"


def test_account_that_is_a_path_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be an account's name"):
        state_directory("../../x")


@needs_ssh
@pytest.mark.parametrize("which", ["config", "batch_config", "asking_config", "once_config"])
def test_a_relay_keeps_to_the_configuration_of_whoever_asked(tmp_path: Path, which: str) -> None:
    gateways = (Gateway("gate", "bob", relay="nc"), Gateway("second", "bob"), Gateway("third", "bob", relay="nc"))
    files = write(replace(CLUSTER, gateways=gateways, host_keys=()), directory=str(tmp_path / "s"), own_configs=[])
    path = getattr(files, which)

    def way(host: str) -> list[str]:
        told = subprocess.run(["ssh", "-G", "-F", path, host], capture_output=True, text=True, check=True, timeout=10)
        keys = ("proxycommand ", "proxyjump ", "hostname ", "batchmode ")
        return [line for line in told.stdout.splitlines() if line.startswith(keys)]

    batch = "batchmode yes" if which == "batch_config" else "batchmode no"
    relay = f"proxycommand ssh -F '{path}' -T -- lab-gateway-%d exec nc %%h %%p"
    assert sorted(way("lab-gateway-1")) == [batch, "hostname gate"]
    assert sorted(way("lab-gateway-2")) == [batch, "hostname second", relay % 1]
    assert sorted(way("lab-gateway-3")) == [batch, "hostname third", "proxyjump lab-gateway-2"]
    assert sorted(way("lab")) == [batch, "hostname login.example.org", relay % 3]

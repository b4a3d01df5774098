# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, write
from ansible_collections.hpc.jupyter.plugins.plugin_utils.trust import trust

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH's client")
KEY = "ssh-ed25519 " + "A" * 68
CLUSTER = Cluster(
    name="lab", account="bob@lab", user="bob", login_hosts=("login.example.org",), login_port=2200, scheduler="slurm",
    root="~/.local/share/hpc-jupyter/lab",
)
RECORD: dict[str, Any] = {
    "session": "default", "node": "c2", "host_keys": [KEY], "login_host": "login2", "login_host_keys": [KEY],
    "step_host_key": KEY,
}


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Files:
    return write(CLUSTER, directory=str(tmp_path / "s"), own_configs=[])


def _said(files: Files, host: str) -> dict[str, str]:
    argv = ["ssh", "-G", "-F", files.config, host]
    told = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10)
    return dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)


@needs_ssh
def test_a_step_is_a_proxy_command_over_the_login(files: Files) -> None:
    trust(CLUSTER, files, RECORD, permits=[8787])
    told = _said(files, "lab-step-default")
    public = " ".join(Path(f"{files.step_key}.pub").read_text().split()[:2])
    assert told["proxycommand"] == (
        f"ssh -F '{files.config}' -T -o ControlMaster=no -- lab \"exec ~/.local/share/hpc-jupyter/lab/hpc-session step "
        f"--session default --key '{public}' --permit 8787\""
    )
    assert (told["user"], told["hostname"], told["stricthostkeychecking"]) == ("bob", "lab-step-default", "true")
    assert (told["identityfile"], told["identitiesonly"]) == (files.step_key, "yes")
    assert f"lab-step-default {KEY}\n" in Path(files.node_known_hosts).read_text()
    assert os.stat(files.step_key).st_mode & 0o777 == 0o600


@needs_ssh
def test_those_who_come_at_the_same_time_have_one_key(files: Files) -> None:
    before = sorted(os.listdir(files.directory))
    with ThreadPoolExecutor(8) as several:
        told = [several.submit(trust, CLUSTER, files, {**RECORD, "session": f"s{number}"}) for number in range(8)]
    assert [each.exception() for each in told] == [None] * 8
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", files.step_key], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    public = " ".join(derived.split()[:2])
    assert Path(f"{files.step_key}.pub").read_text() == derived
    for number in range(8):
        assert f"--key '{public}'" in _said(files, f"lab-step-s{number}")["proxycommand"]
    made = {"node_aliases", "node_known_hosts", "nodes", "sessions", "step_key", "step_key.pub"}
    assert set(os.listdir(files.directory)) - set(before) == made


@needs_ssh
def test_a_key_that_was_cut_off_is_made_anew(files: Files) -> None:
    Path(files.step_key).write_text("-----BEGIN")
    trust(CLUSTER, files, RECORD)
    derived = subprocess.run(["ssh-keygen", "-y", "-f", files.step_key], capture_output=True, check=True, timeout=10)
    assert Path(f"{files.step_key}.pub").read_bytes() == derived.stdout


@needs_ssh
def test_the_recorded_login_host_is_behind_the_one_that_answers(files: Files) -> None:
    trust(CLUSTER, files, RECORD)
    told = _said(files, "login2")
    assert (told["port"], told["user"], told["proxyjump"]) == ("2200", "bob", "lab")
    assert told["userknownhostsfile"] == files.node_known_hosts
    assert (_said(files, "c2")["port"], _said(files, "c2")["proxyjump"]) == ("22", "lab")


@needs_ssh
def test_the_key_is_made_once_and_sessions_do_not_disturb_each_other(files: Files) -> None:
    trust(CLUSTER, files, RECORD)
    before = Path(files.step_key).read_bytes()
    trust(CLUSTER, files, {**RECORD, "session": "gpu", "node": "g1"})
    assert Path(files.step_key).read_bytes() == before
    assert "--session gpu " in _said(files, "lab-step-gpu")["proxycommand"]
    assert "--session default " in _said(files, "lab-step-default")["proxycommand"]


@needs_ssh
@pytest.mark.parametrize(("route", "changes"), [("node", {}), ("lan", {}), ("auto", {"step_host_key": ""})])
def test_where_no_step_is_meant_there_is_no_key(files: Files, route: str, changes: dict[str, Any]) -> None:
    trust(replace(CLUSTER, route=route), files, {**RECORD, **changes})
    assert not Path(files.step_key).exists()
    assert "proxycommand" not in _said(files, "lab-step-default")


@needs_ssh
@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "x\n  ProxyCommand y", "*"])
def test_what_is_no_host_is_not_written_down(files: Files, host: str) -> None:
    with pytest.raises(BadInput):
        trust(CLUSTER, files, {**RECORD, "login_host": host})
    with pytest.raises(BadInput):
        trust(CLUSTER, files, {**RECORD, "node": host})
    with pytest.raises(BadInput):
        trust(CLUSTER, files, {**RECORD, "session": host})
    written = [path.read_text() for path in Path(files.directory).rglob("*") if path.is_file()]
    assert "ProxyCommand y" not in "".join(written)

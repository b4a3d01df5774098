# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import node_keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.own_ssh import (
    Place,
    alias_block,
    blocks,
    defined_by_person,
    holder,
    joined,
    locked,
    made_directory,
    replace,
    why_not,
    with_include,
    without_include,
)
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import write

CLUSTER = Cluster(
    name="lab", account="alice@lab", user="alice", login_hosts=("login.example.org",), scheduler="slurm",
    gateways=(Gateway("gate.example.org", "bob", 2201), Gateway("inner", "alice")),
    host_keys=(("login.example.org", (Pin("SHA256:" + "A" * 43),)),),
)
LINE = 'Include "/home/alice/.ssh/hpc-jupyter/config"'

needs_ssh = pytest.mark.skipif(not shutil.which("ssh"), reason="there is no ssh here")


@pytest.mark.parametrize("text", [None, b"", b"Host *\n  User x", b"\xff\r\nHost a\r\n", b"\n\n"])
@pytest.mark.parametrize("fresh", [False, True])
def test_what_the_person_wrote_is_given_back_as_it_was(text: bytes | None, fresh: bool) -> None:
    included = with_include(text, LINE, fresh=fresh)
    assert included.splitlines()[1] == LINE.encode()
    assert included.endswith(text or b"")
    assert with_include(included, LINE) == included
    assert without_include(included) == text
    assert made_directory(included) is fresh


def test_a_file_that_was_made_stays_if_the_person_has_used_it() -> None:
    used = with_include(None, LINE) + b"Host mine\n"
    assert without_include(with_include(used, LINE)) == b"Host mine\n"


def test_a_line_that_leads_elsewhere_is_corrected() -> None:
    assert with_include(with_include(b"Host a\n", "Include /old"), LINE) == with_include(b"Host a\n", LINE)


def test_each_account_has_its_block() -> None:
    found = {"alice@lab": b"Match originalhost lab\n", "bob@other": b"Match originalhost other\n"}
    assert blocks(joined(found)) == found
    assert joined({}) == b""
    assert (holder(found, "carol@lab"), holder(found, "alice@lab"), holder(found, "x@new")) == ("alice@lab", "", "")


@pytest.fixture(name="home")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A ``~/.ssh`` with the names of alice@lab, whose session has run on c1, and with settings of her own."""
    short = tmp_path_factory.mktemp("own")  # a test's name is too long for a socket
    place, state = Place(str(short / "ssh")), str(short / "alice@lab")
    write(CLUSTER, directory=state, own_configs=[])
    node_keys.record(state, "c1", ["ssh-ed25519 " + "A" * 68], addresses=["10.0.0.1"])
    (short / "alice@lab" / "identity").write_text("IdentityFile /k\n")
    os.makedirs(place.directory)
    replace(place.aliases, joined({"alice@lab": alias_block(CLUSTER, directory=state, openssh=(9, 2)).encode()}))
    replace(place.config, with_include(b"Host lab-printer\n  User me\nHost *\n  ForwardX11 yes\n", place.include))
    return place


def effective(place: Place, host: str) -> dict[str, str]:
    told = subprocess.run(["ssh", "-G", "-F", place.config, host], stdout=subprocess.PIPE, check=True, timeout=20)
    return dict(line.split(" ", 1) for line in told.stdout.decode().splitlines() if " " in line)


@needs_ssh
def test_names_for_ssh_by_hand(home: Place) -> None:
    login, node = effective(home, "lab"), effective(home, "lab-c1")
    assert {key: login[key] for key in ("hostname", "user", "controlmaster", "serveraliveinterval", "forwardx11")} == {
        "hostname": "login.example.org", "user": "alice", "controlmaster": "false", "serveraliveinterval": "10",
        "forwardx11": "yes",
    }
    assert login["proxycommand"].endswith("/alice@lab/ssh_config' -W '[%h]:%p' -- lab-gateway-2")
    assert (login["stricthostkeychecking"], login["identityfile"]) == ("true", "/k")
    assert (node["hostname"], node["hostkeyalias"], node["proxyjump"]) == ("c1", "c1", "lab")
    assert node["identityfile"] == "/k"


@needs_ssh
def test_hosts_of_the_persons_own_are_left_alone(home: Place) -> None:
    other = effective(home, "lab-printer")
    assert (other["hostname"], other["user"], other["stricthostkeychecking"]) == ("lab-printer", "me", "ask")
    assert "proxyjump" not in other


@needs_ssh
def test_a_name_that_the_person_has_is_seen(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    assert not defined_by_person(place, "lab")
    (tmp_path / "config").write_text("Include more\nHost x\n")
    (tmp_path / "config").chmod(0o600)
    assert not defined_by_person(place, "lab")
    (tmp_path / "config").write_text(f"Include {tmp_path}/more\n")
    (tmp_path / "more").write_text("Host lab\n  HostName elsewhere\n")
    (tmp_path / "more").chmod(0o600)
    assert defined_by_person(place, "lab")


def test_what_is_not_ours_to_write_is_named(tmp_path: Path) -> None:
    assert why_not(str(tmp_path / "none")) == ""
    (tmp_path / "link").symlink_to("none")
    assert why_not(str(tmp_path / "link")) == "is a symbolic link"
    assert why_not(str(tmp_path)) == "is not a file"


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("x")
    path.chmod(0o640)
    replace(str(path), b"y")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("y", 0o640)
    replace(str(tmp_path / "new"), b"y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_who_waits_for_a_lock_that_is_removed_meanwhile_takes_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, lock, others = Place(str(tmp_path)), fcntl.flock, [1]

    def flock(descriptor: int, how: int) -> None:
        while others:
            others.pop()
            shutil.rmtree(place.directory)
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(place):
        replace(place.aliases, b"Host lab\n")
    assert sorted(os.listdir(place.directory)) == [".lock", "config"]
    os.unlink(place.aliases)
    with locked(place):
        pass
    assert os.listdir(tmp_path) == []

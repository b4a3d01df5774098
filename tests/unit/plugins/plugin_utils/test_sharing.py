# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory
from ansible_collections.hpc.jupyter.plugins.plugin_utils import keys, sharing
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import Hop, hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, render, state_directory

OLD, NEW = ("ssh-ed25519 " + letter * 68 for letter in "AB")
CORI = Cluster(
    name="cori", account="alice@cori", user="alice", login_hosts=("cori.example.org",), scheduler="slurm",
    gateways=(Gateway("gate.example.org", "admin", 2201),),
)
HYDRA = replace(CORI, name="hydra", account="alice@hydra", login_hosts=("hydra.example.org",))


@pytest.fixture(name="ssh")
def _ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, public in (("id_ed25519", OLD), ("new", NEW)):
        (tmp_path / name).write_text("private")
        (tmp_path / f"{name}.pub").write_text(public)
    with tempfile.TemporaryDirectory() as short:
        monkeypatch.setenv("XDG_STATE_HOME", short)
        yield tmp_path


def _set_up(cluster: Cluster, *, ssh: Path, key: str = "") -> None:
    files = Files(state_directory(cluster.account))
    make_private_directory(files.directory)
    Path(files.config).write_text(render(cluster, directory=files.directory))
    if key:
        Path(files.identity).write_text(keys.identities(keys.Key(str(ssh / key)), ssh_directory=str(ssh)))


def _kept(*, leaving: tuple[str, ...] = ()) -> list[list[str]]:
    return [sharing.others(hop, account="alice@cori", public=OLD, leaving=leaving) for hop in hops(CORI)]


def test_a_key_that_another_account_logs_in_with_stays_at_the_hop_that_both_pass(ssh: Path) -> None:
    _set_up(CORI, ssh=ssh, key="new")
    _set_up(HYDRA, ssh=ssh, key="id_ed25519")
    assert _kept() == [["alice@hydra"], []]
    assert _kept(leaving=("alice@hydra",)) == [[], []]
    _set_up(HYDRA, ssh=ssh, key="new")  # which names id_ed25519 as well, after it
    assert _kept() == [[], []]


def test_where_the_key_of_another_account_cannot_be_told_it_stays(ssh: Path) -> None:
    _set_up(HYDRA, ssh=ssh)
    assert _kept() == [["alice@hydra"], []]


@pytest.mark.parametrize("gateway", [Gateway("gate.example.org", "bob", 2201), Gateway("gate.example.org", "admin")])
def test_another_user_or_port_is_another_hop(ssh: Path, gateway: Gateway) -> None:
    _set_up(replace(HYDRA, gateways=(gateway,)), ssh=ssh, key="id_ed25519")
    assert _kept() == [[], []]


def test_a_shared_login_is_one_too(ssh: Path) -> None:
    _set_up(replace(CORI, name="twin", account="alice@twin", gateways=()), ssh=ssh, key="id_ed25519")
    assert sharing.others(Hop("login host", "cori.example.org", "alice", 22), account="alice@cori", public=OLD) == [
        "alice@twin"
    ]

"""The action ssh_aliases on this machine: it contacts nobody, so that the accounts need not exist."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.playbooks.plays import Home, Played

PIN = "SHA256:" + "A" * 43
FACTS = {"hpc_scheduler": "slurm", "hpc_login_hosts": ["login.invalid"], "hpc_host_keys": {"login.invalid": [PIN]},
         "ansible_connection": "ssh"}  # fmt: skip


@pytest.fixture
def home() -> Iterator[Home]:
    """A home with an ssh configuration of the person's own."""
    directory = Path(tempfile.mkdtemp(prefix="hj-", dir="/tmp"))
    made = Home(directory / "home")
    (made.path / ".ssh").mkdir(parents=True, mode=0o700)
    (made.path / ".ssh/config").write_bytes(b"Host mine\r\n  User me")
    yield made
    shutil.rmtree(directory)


def _play(home: Home, account: str, *options: str, **arguments: object) -> Played:
    playbook, inventory = home.path.parent / "aliases.yml", home.path.parent / "accounts.yml"
    tasks = [
        {"hpc.jupyter.ssh_aliases": arguments, "register": "done"},
        {"ansible.builtin.debug": {"msg": "{{ done.notes }}"}},
    ]
    playbook.write_text(yaml.safe_dump([{"hosts": account, "gather_facts": False, "tasks": tasks}]))
    accounts = {"hosts": {name: {} for name in ("alice@lab", "bob@lab", "alice@other")}, "vars": FACTS}
    inventory.write_text(yaml.safe_dump({"lab": accounts}))
    state = home.path / ".local/state/hpc-jupyter" / account
    if not arguments.get("state") and not state.exists():  # what `connect` makes
        state.mkdir(parents=True)
    return home.play(str(playbook), "-i", str(inventory), *options)


def test_two_clusters_are_named_and_forgotten(home: Home) -> None:
    before, config = home.listing(), home.path / ".ssh/config"
    checked = _play(home, "alice@lab", "--check", "--diff")
    assert (checked.code, home.listing()) == (0, before), checked.out
    assert "+Match originalhost lab" in checked.out
    assert _play(home, "alice@lab").changed == 1
    assert _play(home, "alice@lab").changed == 0
    assert _play(home, "alice@other").changed == 1
    assert config.read_bytes().endswith(b"# END hpc.jupyter\nHost mine\r\n  User me")
    assert config.read_bytes().count(b"Include") == 1
    assert _play(home, "alice@lab", state="absent").changed == 1
    assert b"originalhost other\n" in (home.path / ".ssh/hpc-jupyter/config").read_bytes()
    assert _play(home, "alice@other", state="absent").changed == 1
    assert config.read_bytes() == b"Host mine\r\n  User me"
    assert sorted(path.name for path in (home.path / ".ssh").iterdir()) == ["config"]
    assert not (home.path / ".local").exists()


def test_two_accounts_of_a_cluster_have_one_name(home: Home) -> None:
    assert _play(home, "alice@lab").changed == 1
    done = _play(home, "bob@lab")
    assert "ssh lab leads to alice@lab on this machine, and to no other account" in done.out
    assert "User bob" not in (home.path / ".ssh/hpc-jupyter/config").read_text()


def test_a_name_that_the_person_has_is_left_alone(home: Home) -> None:
    config = home.path / ".ssh/config"
    config.write_text("Host lab\n  HostName elsewhere\n")
    done = _play(home, "alice@lab")
    assert f"{config} has a host lab of its own, which is left as it is" in done.out
    assert config.read_text() == "Host lab\n  HostName elsewhere\n"
    assert not (home.path / ".ssh/hpc-jupyter").exists()


def test_a_link_is_left_alone_and_what_to_do_is_said(home: Home) -> None:
    config, dotfile = home.path / ".ssh/config", home.path / "dotfile"
    config.rename(dotfile)
    config.symlink_to(dotfile)
    line = f'Include "{home.path}/.ssh/hpc-jupyter/config"'
    done = _play(home, "alice@lab")
    told = f"{config} is a symbolic link, so it is left alone. Put this line at its top: {line}"
    assert told.replace('"', '\\"') in done.out
    assert dotfile.read_bytes() == b"Host mine\r\n  User me"
    dotfile.write_text(f"{line}\nHost mine\n")
    assert "left alone" not in _play(home, "alice@lab").out
    assert "Remove this line" in _play(home, "alice@lab", state="absent").out
    assert config.is_symlink()

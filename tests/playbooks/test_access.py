"""onboard.yml and offboard.yml on this machine: what is done is undone, and what is misspelt is refused."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.ssh_servers import LOGIN, Server, free_port, make_keys
from tests.jupyter_env import jupyter_python
from tests.playbooks.plays import NAME, Home


@pytest.fixture
def home() -> Iterator[Home]:
    """An account on which nothing has been done, at a path that leaves room for a socket's name."""
    directory = Path(tempfile.mkdtemp(prefix="hj-", dir="/tmp"))
    made = Home(directory / "home")
    made.path.mkdir()
    yield made
    shutil.rmtree(directory)


def _existing() -> dict[str, object]:
    prefix = jupyter_python().parent.parent
    return {"jupyter_environment_kind": "existing", "jupyter_environment_path": str(prefix)}


def test_an_account_of_this_machine_is_onboarded_and_offboarded_without_a_trace(home: Home) -> None:
    (home.path / "notes.txt").write_text("mine")
    (home.path / ".ansible/tmp").mkdir(parents=True, mode=0o700)  # this machine's own, which Ansible leaves behind
    before = home.contents()
    planned = home.play("onboard.yml", "--check", **_existing())
    assert (planned.code, f'"{NAME}  would be set up  in {home.root}"' in planned.out) == (0, True), planned.out
    assert home.contents() == before
    done = home.play("onboard.yml", **_existing())
    assert f'"{NAME}  done  in {home.root}"' in done.out
    assert f"Next: hpc-jupyter launch {NAME}" in done.out
    assert home.root.is_dir()
    assert not (home.path / ".ssh").exists()
    again = home.play("onboard.yml", **_existing())
    assert (again.changed, f'"{NAME}  already done  in {home.root}"' in again.out) == (0, True)
    set_up = home.listing()
    planned = home.play("offboard.yml", "--check", "--diff", hpc_wheelhouse="/lab/wheels")
    assert planned.changed == 1
    assert f"the environment {jupyter_python().parent.parent} is not ours and stays" in planned.out
    assert "/lab/wheels stays: accounts share its wheels" in planned.out
    assert home.listing() == set_up
    assert home.play("offboard.yml").changed == 1
    assert home.contents() == before
    again = home.play("offboard.yml")
    assert (again.changed, f'"{NAME}  nothing to remove  from the account and this machine"' in again.out) == (0, True)


@pytest.fixture
def shut(home: Home) -> Iterator[Server]:
    """A login host that lets nobody in."""
    place = home.path.parent / "shut"
    make_keys(place, "ed25519", "rsa")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    server = Server(place, LOGIN, free_port(LOGIN))
    server.start()
    yield server
    server.stop()


def _lab(home: Home, shut: Server) -> Path:
    """Three accounts of one person: on this machine, on a host that lets nobody in, and on one that is not there."""
    facts = {"hpc_scheduler": "none", "hpc_host_keys": {LOGIN: [str(shut.pin())]}}
    clusters = {
        "here": {"ansible_connection": "local", "hpc_scheduler": "none", **_existing()},
        "shut": {**facts, "hpc_login_hosts": [LOGIN], "hpc_login_port": shut.port},
        "lost": {"hpc_scheduler": "slurm", "hpc_login_hosts": ["lost.invalid"]},
    }
    users = dict.fromkeys(clusters, "alice")
    lab = home.path.parent / "lab.accounts.yml"
    data = {"plugin": "hpc.jupyter.accounts", "clusters": clusters, "people": {"alice": {"accounts": users}}}
    lab.write_text(yaml.safe_dump(data, sort_keys=False))
    return lab


def test_an_account_that_fails_or_needs_its_owner_stops_no_other(home: Home, shut: Server) -> None:
    lab = _lab(home, shut)
    done = home.play("onboard.yml", "-i", str(lab), "-l", "alice", "--check")
    assert done.code == 2
    [table] = re.findall(r'"msg": \[\n(.*?)\n    \]', done.out, re.DOTALL)
    assert [line.strip(' ",') for line in table.splitlines()] == [
        f"alice@here  would be set up  in {home.path}/.local/share/hpc-jupyter/here",
        "alice@shut  needs its owner  send them: hpc-jupyter onboard alice@shut (login host 127.0.0.2: alice was not "
        "let in: the account is not known there, or the key or password is not accepted (it takes: publickey))",
        "alice@lost  failed           login host lost.invalid: the name is not known here. Check hpc_login_hosts, and "
        "this machine's network or VPN",
        "3 accounts: 1 would be set up, 1 needs its owner, 1 failed",
        "Next: hpc-jupyter launch ACCOUNT",
    ]
    assert home.play("onboard.yml", "-i", str(lab), "-l", "shut").code == 0


def test_a_session_is_stopped_before_its_account_goes(home: Home) -> None:
    names = (".ansible", ".ipython", ".jupyter", ".npm", ".local/share/jupyter")
    theirs = [home.path / name for name in names]  # Ansible's and Jupyter's own
    assert home.play("onboard.yml", **_existing()).code == 0
    assert home.play("launch.yml").code == 0
    joined = home.play("launch.yml", hpc_jupyterhub_url="https://hub.example.org/x")  # better only for a new one
    assert (joined.code, joined.changed) == (0, 0), joined.out
    done = home.play("offboard.yml", "--diff")
    assert done.code == 0, done.out
    assert "+session default: ended" in done.out
    left = [path for path in map(Path, home.contents()) if not any(own in (path, *path.parents) for own in theirs)]
    assert [path for path in left if not any(path in own.parents for own in theirs)] == []


def test_an_account_that_cannot_be_reached_is_forgotten_here_alone(home: Home) -> None:
    assert home.play("onboard.yml", **_existing()).code == 0
    state = home.path / ".local/state/hpc-jupyter" / NAME
    state.mkdir(parents=True)
    (state / "ssh_config").write_text("x")
    done = home.play("offboard.yml", "-e", "jupyter_access_here_only=true")
    assert (done.code, done.changed) == (0, 1), done.out
    assert home.root.is_dir()
    assert not state.parent.exists()


@pytest.mark.parametrize(
    ("connection", "code", "said"),
    [("local", 0, "changed=0"), ("ssh", 2, "public_key: 'ssh-rsa AAAA\\\\nssh-rsa BBBB' is not TYPE BASE64")],
)
def test_a_key_that_is_none_is_refused_before_anything_is_contacted(
    home: Home, connection: str, code: int, said: str
) -> None:
    playbook, inventory = home.path.parent / "key.yml", home.path.parent / "accounts.yml"
    tasks = [{"hpc.jupyter.authorized_key": {"public_key": "ssh-rsa AAAA\nssh-rsa BBBB"}}]
    playbook.write_text(yaml.safe_dump([{"hosts": "alice@lab", "gather_facts": False, "tasks": tasks}]))
    facts = {"hpc_scheduler": "slurm" if connection == "ssh" else "none", "ansible_connection": connection}
    if connection == "ssh":
        facts["hpc_login_hosts"] = ["login.invalid"]  # type: ignore[assignment]
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"alice@lab": facts}}}))
    played = home.play(str(playbook), "-i", str(inventory))
    assert played.code == code
    assert said in played.out

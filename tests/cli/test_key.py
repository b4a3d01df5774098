"""The person's key: what is there is used, nothing is overwritten, what was made here can be removed again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import keys

from tests.cli.conftest import mode


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``~/.ssh`` that is not there yet, and no agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "ssh"


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent without keys."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        while not path.exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield
        process.terminate()


def _make(path: Path, kind: str = "ecdsa", word: str = "") -> str:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", word, "-C", "me", "-f", path], check=True)
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def test_without_a_key_one_is_made(ssh: Path) -> None:
    key = keys.find("", ssh_directory=str(ssh))
    assert (key.path, key.made, ssh.exists()) == (str(ssh / "id_ed25519"), True, False)
    made = keys.make(key)
    assert made.public.startswith("ssh-ed25519 ")
    assert sorted(os.listdir(ssh)) == ["id_ed25519", "id_ed25519.pub"]
    assert (mode(ssh), mode(ssh / "id_ed25519")) == ("700", "600")
    assert keys.find("", ssh_directory=str(ssh)) == keys.Key(made.path, made.public)


def test_a_key_that_was_made_meanwhile_is_used(ssh: Path) -> None:
    key = keys.find("", ssh_directory=str(ssh))
    public = _make(ssh / "id_ed25519", "ed25519")
    assert keys.make(key).public == public


def test_a_key_that_is_configured_for_the_host_comes_first(ssh: Path) -> None:
    public = _make(ssh / "for the lab")
    _make(ssh / "id_ed25519", "ed25519")
    config = ssh / "config"
    config.write_text(f'Match host login.example.org user alice\n    IdentityFile "{ssh}/for the lab"\n')
    own = keys.configured("login.example.org", user="alice", config=str(config))
    assert keys.find("", ssh_directory=str(ssh), configured=own) == keys.Key(f"{ssh}/for the lab", public)
    assert keys.configured("login.example.org", user="bob", config=str(config)) == []
    assert keys.configured("login.example.org", user="alice", config=str(ssh / "none")) == []


def test_a_key_that_was_rotated_out_is_not_taken_again_because_it_is_configured(ssh: Path, tmp_path: Path) -> None:
    ssh.mkdir(exist_ok=True)
    config, identity = ssh / "config", tmp_path / "identity"
    config.write_text(f"Host *\n    IdentityFile {ssh}/old\n")
    (ssh / "new").write_text("private")
    identity.write_text(keys.identities(keys.Key(f"{ssh}/new"), ssh_directory=str(ssh)))
    found = keys.candidates("login.example.org", user="alice", config=str(config), identity=str(identity))
    assert found == [f"{ssh}/new", f"{ssh}/old"]


def test_a_configured_key_that_is_not_there_is_passed_over(ssh: Path) -> None:
    _make(ssh / "id_rsa", "rsa")
    assert keys.find("", ssh_directory=str(ssh), configured=[str(ssh / "gone")]).path == str(ssh / "id_rsa")


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_key_of_any_kind_is_used(ssh: Path, kind: str) -> None:
    public = _make(ssh / f"id_{kind}", kind)
    assert keys.find("", ssh_directory=str(ssh)) == keys.Key(str(ssh / f"id_{kind}"), public)


def test_a_missing_public_part_is_derived(ssh: Path) -> None:
    public = _make(ssh / "id_rsa", "rsa")
    (ssh / "id_rsa.pub").unlink()
    assert keys.find("", ssh_directory=str(ssh)).public == public


def test_a_missing_public_part_behind_a_passphrase_has_to_be_made(ssh: Path) -> None:
    _make(ssh / "mine", word="secret")
    (ssh / "mine.pub").unlink()
    with pytest.raises(BadInput) as told:
        keys.find(str(ssh / "mine"), ssh_directory=str(ssh))
    assert str(told.value) == (
        f"jupyter_access_key: the public part of {ssh}/mine is not beside it. "
        f"Make it: ssh-keygen -y -f {ssh}/mine > {ssh}/mine.pub"
    )


@pytest.mark.usefixtures("agent")
def test_a_key_in_the_agent_needs_no_file(ssh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    public = _make(tmp_path / "elsewhere" / "key")
    subprocess.run(["ssh-add", "-q", tmp_path / "elsewhere" / "key"], check=True)
    assert keys.find("", ssh_directory=str(ssh)) == keys.Key("", public)


@pytest.mark.usefixtures("agent")
def test_a_public_part_may_stand_for_a_key_in_the_agent(
    ssh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    public = _make(ssh / "id_ed25519", "ed25519", word="")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    subprocess.run(["ssh-add", "-q", ssh / "id_ed25519"], check=True)
    (ssh / "id_ed25519").unlink()
    key = keys.find(str(ssh / "id_ed25519"), ssh_directory=str(ssh))
    assert (key.public, key.identity_file) == (public, str(ssh / "id_ed25519.pub"))


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("key", "'key' is not an absolute path. Begin it with / or ~/"),
        ('/a"b', "'/a\"b' is not an absolute path. Begin it with / or ~/"),
        ("/a/key.pub", "/a/key.pub is a public key. Name the private one, without .pub"),
    ],
)
def test_a_path_that_cannot_be_is_refused(ssh: Path, path: str, problem: str) -> None:
    with pytest.raises(BadInput) as told:
        keys.find(path, ssh_directory=str(ssh))
    assert str(told.value) == f"jupyter_access_key: {problem}"


def test_a_public_part_alone_is_refused(ssh: Path) -> None:
    _make(ssh / "mine")
    (ssh / "mine").unlink()
    with pytest.raises(BadInput, match="its private part is neither beside it nor in the agent"):
        keys.find(str(ssh / "mine"), ssh_directory=str(ssh))


def test_only_a_key_that_was_made_here_is_removed(ssh: Path) -> None:
    _make(ssh / "id_rsa", "rsa")
    assert not keys.remove_made(str(ssh / "id_rsa"))
    key = keys.make(keys.find(str(ssh / "id_ed25519"), ssh_directory=str(ssh)))
    assert keys.made_here(str(ssh), "") == key.path
    assert keys.remove_made(key.path)
    assert sorted(os.listdir(ssh)) == ["id_rsa", "id_rsa.pub"]


def test_with_the_key_goes_the_directory_that_was_made_for_it(ssh: Path) -> None:
    key = keys.make(keys.find("", ssh_directory=str(ssh)))
    assert keys.remove_made(key.path)
    assert not ssh.exists()


def test_a_key_that_comes_is_tried_after_the_one_that_goes(ssh: Path, tmp_path: Path) -> None:
    _make(ssh / "old")
    _make(ssh / "new")
    lines = keys.identities(keys.Key(f"{ssh}/old"), ssh_directory=str(ssh), also=f"{ssh}/new")
    assert lines == f'IdentityFile "{ssh}/old"\nIdentityFile "{ssh}/new"\n'
    (tmp_path / "identity").write_text(lines)
    assert keys.settled(str(tmp_path / "identity")) == [f"{ssh}/old"]


def test_naming_a_key_hides_no_other(ssh: Path) -> None:
    _make(ssh / "id_rsa", "rsa")
    _make(ssh / "mine")
    assert keys.identities(keys.Key(str(ssh / "mine")), ssh_directory=str(ssh)) == (
        f'IdentityFile "{ssh}/mine"\nIdentityFile "{ssh}/id_rsa"\n'
    )

"""Which hop lets a key in, and what a gateway lets one do, with real OpenSSH servers on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authorized_keys, keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authorized_keys import Asked, KeyProblem

from tests.cli.ssh_servers import Server, Way, make_keys

KEY = "ssh-ed25519 " + "A" * 68


def _restart(server: Server, *options: str) -> None:
    server.stop()
    server.options = list(options)
    server.start()


def _let_in(way: Way) -> list[bool]:
    asked = Asked(way.files.batch_config, {})
    return [authorized_keys.lets_in(way.cluster, index=index, asked=asked, key_only=True) for index in (0, 1)]


def test_every_hop_lets_the_key_in(way: Way) -> None:
    assert _let_in(way) == [True, True]


def test_the_hop_that_does_not_is_told_apart(way: Way) -> None:
    _restart(way.login, "AuthorizedKeysFile none")
    assert _let_in(way) == [True, False]
    _restart(way.gate, "AuthorizedKeysFile none")
    assert _let_in(way) == [False, False]


def test_a_gateway_with_a_shell_takes_the_key(way: Way, tmp_path: Path) -> None:
    _restart(way.gate, f"SetEnv HOME={tmp_path}")
    argv = ["env", f"HOME={tmp_path}", *authorized_keys.arguments("add", KEY)]
    said = authorized_keys.on_gateway(way.cluster, argv, index=0, asked=Asked(way.files.batch_config, {}))
    assert authorized_keys.parse(said, where="gate").changed
    assert (tmp_path / ".ssh/authorized_keys").read_text() == f"{KEY} hpc.jupyter,file,directory\n"


@pytest.mark.parametrize("command", ["/bin/false", "echo Welcome to the menu; sleep 0.1"])
def test_a_gateway_without_a_shell_cannot(way: Way, command: str) -> None:
    _restart(way.gate, f"ForceCommand {command}")
    argv = authorized_keys.arguments("add", KEY)
    said = authorized_keys.on_gateway(way.cluster, argv, index=0, asked=Asked(way.files.batch_config, {}))
    with pytest.raises(KeyProblem):
        authorized_keys.parse(said, where="gate")


def test_the_settled_key_is_used_on_every_hop(way: Way) -> None:
    (way.home / "own_config").write_text("IdentityAgent none\n")
    assert _let_in(way) == [False, False]
    lines = keys.identities(keys.Key(str(way.home / "id")), ssh_directory=str(way.home / "none"))
    Path(way.files.identity).write_text(lines)
    assert _let_in(way) == [True, True]


def test_a_key_is_proven_by_itself_also_where_another_one_opens(way: Way, tmp_path: Path) -> None:
    make_keys(tmp_path / "new", "ed25519")
    asked = Asked(way.files.batch_config, {})

    def takes(path: Path) -> list[bool]:
        public = Path(f"{path}.pub").read_text()
        return [
            authorized_keys.takes(way.cluster, index=index, asked=asked, key=str(path), public=public)
            for index in (0, 1)
        ]  # fmt: skip

    assert takes(way.home / "id") == [True, True]
    assert takes(tmp_path / "new" / "ed25519") == [False, False]
    assert keys.settled(way.files.identity) == []
    Path(way.files.identity).write_text(keys.identities(keys.Key(str(way.home / "id")), ssh_directory="/none"))
    assert keys.settled(way.files.identity) == [str(way.home / "id")]

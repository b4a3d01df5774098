"""The person's own ssh configuration counts: ways, keys, certificates, includes; and cannot break a forward."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh

from hpc_jupyter.errors import NoForward
from tests.cli.conftest import TOKEN, World, connect, free_port
from tests.cli.ssh_servers import GATE, LOGIN, Way, make_keys


def _own(way: Way, *lines: str) -> None:
    """A person's configuration with these lines, and no key but what they name."""
    way.write()
    (way.home / "own_config").write_text("\n".join(["IdentityAgent none", *lines]) + "\n")


def test_a_key_for_one_host_alone(way: Way) -> None:
    make_keys(way.home / "other", "ed25519")
    right = way.home / "id"
    _own(way, f"Host {GATE}", f"  IdentityFile {right}", "  IdentitiesOnly yes", "Host lab", f"  IdentityFile {right}")
    assert way.open()


def test_a_configuration_that_includes_another(way: Way) -> None:
    (way.home / "more").write_text(f"IdentityFile {way.home / 'id'}\n")
    _own(way, f"Include {way.home / 'more'}")
    assert way.open()


def test_a_way_of_the_persons_own(way: Way) -> None:
    """The inventory knows no gateway; the person does, as where a VPN is replaced by a host of one's own."""
    hop = [
        "Host myhop", f"  HostName {GATE}", f"  Port {way.gate.port}", "  StrictHostKeyChecking no",
        "  UserKnownHostsFile /dev/null", f"  IdentityFile {way.home / 'id'}",
    ]  # fmt: skip
    way.cluster = replace(way.cluster, gateways=())
    _own(way, "Host lab", "  ProxyJump myhop", f"  IdentityFile {way.home / 'id'}", *hop)
    assert way.open()
    assert "Accepted publickey" in (way.gate.directory / "log").read_text()
    answer = ssh.run_remote(way.cluster, way.files, ["sh", "-c", "echo $SSH_CONNECTION"])
    assert answer.stdout.split()[2] == LOGIN


def test_a_certificate(way: Way) -> None:
    make_keys(way.home / "ca", "ed25519")
    make_keys(way.home / "mine", "ed25519")
    key = way.home / "mine" / "ed25519"
    sign = ["ssh-keygen", "-q", "-s", str(way.home / "ca/ed25519"), "-I", "me", "-n", way.cluster.user, f"{key}.pub"]
    subprocess.run(sign, check=True)
    (way.home / "mine" / "cert.pub").write_text((way.home / "mine" / "ed25519-cert.pub").read_text())
    (way.home / "mine" / "ed25519-cert.pub").unlink()
    for server in (way.gate, way.login):
        server.stop()
        server.options = [f"TrustedUserCAKeys {way.home / 'ca' / 'ed25519.pub'}", "AuthorizedKeysFile none"]
        server.start()
    _own(way, f"IdentityFile {key}", "IdentitiesOnly yes")
    assert "was not let in" in _failure(way)
    _own(way, f"IdentityFile {key}", f"CertificateFile {way.home / 'mine' / 'cert.pub'}", "IdentitiesOnly yes")
    assert way.open()


def _failure(way: Way) -> str:
    try:
        way.open()
    except ssh.ConnectFailed as error:
        return str(error)
    return ""


@pytest.mark.rows("F26")
def test_a_forward_of_the_persons_own_does_not_break_ours(world: World) -> None:
    """Somebody who forwards a port for every host has it taken by the first of their logins."""
    own = world.home / "own_config"
    own.write_text(own.read_text() + f"  LocalForward 127.0.0.1:{world.port} 127.0.0.1:9\n")
    link = connect(world, free_port())
    assert link.forward is not None
    link.forward.close()
    assert f"token {TOKEN}" in world.server.tokens


def test_a_port_that_is_taken_is_still_seen(world: World) -> None:
    own = world.home / "own_config"
    own.write_text(own.read_text() + f"  LocalForward 127.0.0.1:{free_port()} 127.0.0.1:9\n")
    with pytest.raises(NoForward, match=f"port {world.port} of this machine is taken by another program"):
        connect(world, world.port)
    assert world.server.tokens == []

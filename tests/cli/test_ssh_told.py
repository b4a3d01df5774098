"""What a person is told when a real OpenSSH server does not let them in."""

from __future__ import annotations

import socket
import time

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Gateway

from tests.cli.ssh_servers import GATE, LOGIN, ME, WRONG, Server, Way, free_port


@pytest.mark.rows("B61", "T14")
def test_wrong_pin_at_the_gateway(way: Way) -> None:
    presented = way.gate.pin()
    assert way.failure(host_keys=((GATE, (WRONG,)), (LOGIN, (way.login.pin(),)))) == (
        f"lab: gateway {GATE} presents the ED25519 key {presented}, which is not pinned (pinned: {WRONG}). "
        "Nothing was sent. Either this is not the right host, or its key is new: compare with what the site "
        "publishes, then correct hpc_host_keys"
    )


@pytest.mark.rows("T14")
def test_wrong_pin_at_the_login_host(way: Way) -> None:
    told = way.failure(host_keys=((GATE, (way.gate.pin(),)), (LOGIN, (WRONG,))))
    assert told.startswith(f"lab: login host {LOGIN} presents the ED25519 key {way.login.pin()}, which is not pinned")


@pytest.mark.rows("T14")
def test_a_known_host_does_not_stand_in_for_a_pin(way: Way) -> None:
    known = way.home / "known"
    known.write_text(f"[{LOGIN}]:{way.login.port} {way.login.public_key()}\n")
    own = [f"UserKnownHostsFile {known}", "StrictHostKeyChecking no", "KnownHostsCommand /bin/false"]
    way.write(*own, host_keys=((GATE, (way.gate.pin(),)), (LOGIN, (WRONG,))))
    with pytest.raises(ssh.ConnectFailed, match="which is not pinned"):
        way.open()


def test_host_without_a_pin_must_be_known(way: Way) -> None:
    known = way.home / "known"
    own = [f"UserKnownHostsFile {known}", "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking no"]
    way.write(*own, host_keys=((GATE, (way.gate.pin(),)),))
    with pytest.raises(ssh.ConnectFailed) as told:
        way.open()
    assert str(told.value) == (
        f"lab: login host {LOGIN}: its ED25519 host key is not known. Pin the fingerprint that the site publishes: "
        f'hpc_host_keys: {{{LOGIN}: ["SHA256:…"]}}'
    )
    known.write_text(f"[{LOGIN}]:{way.login.port} {way.login.public_key()}\n")
    assert way.open()


@pytest.mark.rows("T14", "F38")
def test_changed_key_of_a_known_host(way: Way) -> None:
    known = way.home / "known"
    known.write_text(f"[{LOGIN}]:{way.login.port} {way.gate.public_key()}\n")
    way.write(f"UserKnownHostsFile {known}", host_keys=((GATE, (way.gate.pin(),)),))
    with pytest.raises(ssh.ConnectFailed) as told:
        way.open()
    assert str(told.value) == (
        f"lab: login host {LOGIN}: the host key has changed. It presents the ED25519 key {way.login.pin()}. "
        f"Another one is in {known}, line 1: {way.gate.pin()}. Nothing was sent. Compare with what the site publishes, "
        "then pin it in hpc_host_keys"
    )


def _strange_key(server: Server) -> None:
    server.stop()
    server.options = ["AuthorizedKeysFile none"]
    server.start()


@pytest.mark.rows("B12")
@pytest.mark.parametrize(("name", "label"), [("gate", f"gateway {GATE}"), ("login", f"login host {LOGIN}")])
def test_key_not_accepted(way: Way, name: str, label: str) -> None:
    _strange_key(way.gate if name == "gate" else way.login)
    assert way.failure() == (
        f"lab: {label}: {ME} was not let in: the account is not known there, or the key or password is not accepted "
        "(it takes: publickey). Check the user's name; a key with a passphrase must be in the agent (ssh-add)"
    )


def test_gateway_does_not_listen(way: Way) -> None:
    way.gate.stop()
    assert way.failure() == (
        f"lab: gateway {GATE}: port {way.gate.port} cannot be reached from this machine (Connection refused). "
        "Check this machine's network or VPN, and whether the host is up"
    )


def test_login_host_does_not_listen(way: Way) -> None:
    way.login.stop()
    assert way.failure() == (
        f"lab: login host {LOGIN} cannot be reached from {GATE} (Connection refused). "
        "Try later, or ask the site whether it is down"
    )


def test_names_that_do_not_resolve(way: Way) -> None:
    gateway = Gateway("gate.invalid", ME)
    assert way.failure(gateways=(gateway,)) == (
        "lab: gateway gate.invalid: the name is not known here. "
        "Check hpc_gateways, and this machine's network or VPN"
    )
    told = way.failure(gateways=(Gateway(GATE, ME, way.gate.port),), login_hosts=("login.invalid",))
    assert told.startswith(f"lab: login host login.invalid: the name is not known from {GATE} (")


def test_which_of_two_gateways_breaks(way: Way) -> None:
    first = Gateway(GATE, ME, way.gate.port)
    second = Gateway("127.0.0.3", ME, free_port("127.0.0.3"))
    assert way.failure(gateways=(first, second)).startswith(f"lab: gateway 127.0.0.3 cannot be reached from {GATE} (")


def test_nobody_answers_in_time(way: Way) -> None:
    way.login.stop()
    with socket.create_server((LOGIN, way.login.port)):
        started = time.monotonic()
        with pytest.raises(ssh.ConnectFailed) as told:
            way.open(seconds=2)
    assert time.monotonic() - started < 5
    assert str(told.value) == (
        f"lab: login host {LOGIN} did not let {ME} in within 2 seconds. "
        "Check that it is up, and this machine's network or VPN"
    )

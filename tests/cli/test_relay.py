"""Gateways that let people log in and forward nothing: passed by ``nc``, with the same pins and no more logins."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Gateway

from tests.cli.ssh_servers import GATE, LOGIN, ME, WRONG, Server, Way, free_port, make_keys

LOGIN_ONLY = ["AllowTcpForwarding no", "LogLevel VERBOSE"]
THIRD = "127.0.0.3"


@pytest.fixture
def closed(way: Way) -> Way:
    """The gateway lets people log in and forwards nothing."""
    way.gate.stop()
    way.gate.options = LOGIN_ONLY
    way.gate.start()
    return way


@pytest.fixture
def middle(closed: Way) -> Iterator[Server]:
    """Another gateway behind the first one."""
    directory = closed.home / "middle"
    make_keys(directory, "ed25519", "rsa")
    server = Server(directory, THIRD, free_port(THIRD), ["LogLevel VERBOSE"])
    server.start()
    yield server
    server.stop()


def logins(server: Server) -> int:
    return Path(server.directory / "log").read_text().count("Accepted publickey")


def by_nc(server: Server) -> Gateway:
    return Gateway(server.address, ME, server.port, relay="nc")


@pytest.mark.rows("F29")
def test_what_forwards_nothing_is_refused_with_the_remedy(closed: Way) -> None:
    assert closed.failure() == (
        f"lab: login host {LOGIN} cannot be reached from {GATE}, which refuses to pass connections on. "
        "If one may run nc there, say relay: nc for it in hpc_gateways"
    )


@pytest.mark.rows("F29")
def test_nc_passes_what_forwards_nothing(closed: Way) -> None:
    closed.write(gateways=(by_nc(closed.gate),))
    assert closed.open()
    answers = [ssh.run_remote(closed.cluster, closed.files, ["echo", "inside"]) for _ in range(2)]
    assert [answer.stdout for answer in answers] == ["inside\n", "inside\n"]
    assert logins(closed.gate) == 1


def test_plain_ssh_takes_the_same_way(closed: Way) -> None:
    closed.write(gateways=(by_nc(closed.gate),))
    argv = ["ssh", "-F", closed.files.config, "-o", "ControlPath=none", "lab", "echo", "inside"]
    assert subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout == b"inside\n"


@pytest.mark.parametrize("second", ["jump", "nc"])
def test_nc_in_the_middle_of_several_gateways(closed: Way, middle: Server, second: str) -> None:
    gateways = (by_nc(closed.gate), Gateway(THIRD, ME, middle.port, relay=second))
    closed.write(gateways=gateways, host_keys=(*closed.cluster.host_keys, (THIRD, (middle.pin(),))))
    assert closed.open()
    assert ssh.run_remote(closed.cluster, closed.files, ["echo", "inside"]).stdout == "inside\n"
    assert (logins(closed.gate), logins(middle)) == (1, 1)


def test_pins_hold_behind_nc(closed: Way) -> None:
    pins = ((GATE, (closed.gate.pin(),)), (LOGIN, (WRONG,)))
    told = closed.failure(gateways=(by_nc(closed.gate),), host_keys=pins)
    assert told.startswith(f"lab: login host {LOGIN} presents the ED25519 key {closed.login.pin()}, which is not")


def test_pins_hold_for_the_gateway_that_has_nc(closed: Way) -> None:
    pins = ((GATE, (WRONG,)), (LOGIN, (closed.login.pin(),)))
    told = closed.failure(gateways=(by_nc(closed.gate),), host_keys=pins)
    assert told.startswith(f"lab: gateway {GATE} presents the ED25519 key {closed.gate.pin()}, which is not pinned")


def test_a_login_host_that_is_down_is_named(closed: Way) -> None:
    closed.login.stop()
    told = closed.failure(gateways=(by_nc(closed.gate),))
    assert told.startswith(f"lab: login host {LOGIN} ")

"""Servers that end what is idle, and servers that let few in."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh

from hpc_jupyter import forward, hold
from tests.cli.conftest import TOKEN, World, connect, sshd_config
from tests.cli.ssh_servers import Way


@pytest.mark.rows("F49")
def test_an_idle_connection_that_the_server_ends_is_made_anew_by_the_next_request(world: World) -> None:
    world.stop_sshd()
    sshd_config(world.home, world.port, "ChannelTimeout direct-streamlocal@openssh.com=1s")
    world.start_sshd()
    link = connect(world)
    try:
        with socket.create_connection(("127.0.0.1", link.route.port), timeout=20) as idle:
            assert idle.recv(1) == b"", "the server has not ended what was idle"
        assert forward.ask(link.route.url, TOKEN).ok
        assert link.forward is not None
        assert link.forward.wait(0)
    finally:
        hold.close(link)


@pytest.mark.rows("F50")
def test_one_login_is_enough_where_one_at_a_time_is_let_in(way: Way) -> None:
    way.login.stop()
    way.login.options = ["MaxStartups 1", "MaxSessions 1", "LogLevel VERBOSE"]
    way.login.start()
    assert way.open()
    assert [ssh.run_remote(way.cluster, way.files, ["echo", word]).stdout for word in "ab"] == ["a\n", "b\n"]
    assert (way.login.directory / "log").read_text().count("Accepted publickey") == 1

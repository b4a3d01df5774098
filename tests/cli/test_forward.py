"""Forwards over a real sshd: proven, on the right port, and never a token for anybody else."""

from __future__ import annotations

import os
import socket
import subprocess
import time

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import first_port

from hpc_jupyter import forward, hold
from hpc_jupyter.errors import NoForward, NoSession, Waiting
from hpc_jupyter.state import Held
from tests.cli.conftest import BASE_URL, TOKEN, World, connect, mode, sshd_config


def test_a_session_is_reached_and_the_port_is_the_same_next_time(world: World) -> None:
    link = connect(world)
    try:
        assert link.route.port == first_port("me@lab", "default")
        assert link.url == f"http://127.0.0.1:{link.route.port}{BASE_URL}lab?token={TOKEN}"
        assert forward.ask(link.route.url, TOKEN).ok
        held = world.connector.store.read("default")
        assert (held.port, held.holder.pid) == (link.route.port, os.getpid())
        assert mode(world.connector.store.directory / "default.session.json") == "600"
    finally:
        hold.close(link)
    assert not held.ssh.is_alive


@pytest.mark.rows("T6", "T11", "F33")
def test_the_forward_listens_on_ipv4_loopback_alone(world: World) -> None:
    link = connect(world)
    try:
        argv = ["ss", "-Hltn", f"sport = :{link.route.port}"]
        listeners = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert [line.split()[3] for line in listeners.stdout.splitlines()] == [f"127.0.0.1:{link.route.port}"]
    finally:
        hold.close(link)


@pytest.mark.rows("T7")
def test_no_secret_is_on_a_command_line(world: World) -> None:
    link = connect(world)
    try:
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert TOKEN not in shown.stdout
        assert f"{link.record.socket}" in shown.stdout
    finally:
        hold.close(link)


@pytest.mark.rows("F33")
def test_a_port_that_is_taken_is_left_for_the_next_one(world: World) -> None:
    wanted = first_port("me@lab", "default")
    with socket.create_server(("127.0.0.1", wanted)) as squatter:
        link = connect(world)
        hold.close(link)
        squatter.setblocking(False)
        with pytest.raises(BlockingIOError):
            squatter.accept()
    assert link.route.port == wanted + 1
    assert f"Port {wanted} of this machine is taken; trying the next\n" in world.said.getvalue()
    assert world.connector.store.read("default").port == wanted + 1


@pytest.mark.rows("F33")
def test_a_port_that_was_asked_for_and_is_taken_is_refused(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with pytest.raises(NoForward) as told:
            connect(world, port=port)
    assert str(told.value) == f"port {port} of this machine is taken by another program. Choose one with --port"


@pytest.mark.rows("T5")
def test_the_token_is_not_sent_to_whoever_took_the_port_first(world: World) -> None:
    """The check and the bind are not one act; only ssh's own word that it listens counts."""
    connector = world.connector
    connector.access.log_in(connector.progress, interactive=False)
    attached = connector.attach()
    hold.close(connector.connect(attached))
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        route = connector.route(attached, squatter.getsockname()[1])
        with pytest.raises(forward.PortTaken):
            forward.proven(forward.begin(route), token=TOKEN)
        squatter.setblocking(False)
        with pytest.raises(BlockingIOError):
            squatter.accept()


def test_a_server_that_refuses_the_token_is_not_the_session(world: World) -> None:
    world.server.accepts = False
    with pytest.raises(NoForward) as told:
        connect(world)
    port = first_port("me@lab", "default")
    assert str(told.value) == (
        f"the forward is up, but what answers at http://127.0.0.1:{port}{BASE_URL} does not take the session's token"
    )
    assert world.connector.store.read("default") == Held()


def test_a_socket_that_is_gone_fails_at_once_and_leaves_no_ssh(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward.OwnSsh, "patience", 60.0)  # a busy machine takes 20 seconds to connect at all
    world.tell(socket=str(world.home / "gone"))
    begun = time.monotonic()
    with pytest.raises(NoForward) as told:
        connect(world)
    assert time.monotonic() - begun < 50
    assert str(told.value).startswith("lab: ")
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert str(world.home / "gone") not in shown.stdout


@pytest.mark.rows("F28")
def test_a_node_that_forwards_nothing_is_named(world: World) -> None:
    link = connect(world)
    hold.close(link)
    world.stop_sshd()
    sshd_config(world.home, world.port, "AllowStreamLocalForwarding no")
    world.start_sshd()
    ssh.close_master(world.access.files)
    with pytest.raises(NoForward) as told:
        connect(world)
    assert "node1" in str(told.value)
    assert "Traceback" not in str(told.value)


@pytest.mark.rows("F17")
def test_a_record_that_says_ready_of_a_lost_session_is_not_believed(world: World) -> None:
    world.tell(socket=str(world.home / "gone"))
    world.schedulers_word(state="ended", how="lost", reason="NODE_FAIL")
    with pytest.raises(NoSession) as told:
        connect(world)
    assert str(told.value) == (
        "Session default has ended (lost: NODE_FAIL). Start a new one: hpc-jupyter launch me@lab"
    )
    world.schedulers_word(state="ended", how="lost", reason="NODE_FAIL", may_go_on=True)
    with pytest.raises(NoForward):  # which is tried again
        connect(world)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"state": "ended", "how": "idle", "reason": "unused for 3600 seconds"},
            NoSession,
            "Session default has ended (idle: unused for 3600 seconds). Start a new one: hpc-jupyter launch me@lab",
        ),
        (
            {"state": "queued", "reason": "Resources"},
            Waiting,
            "me@lab: Job 17 waits in the queue: no free nodes yet (Resources). Watch it: hpc-jupyter launch me@lab",
        ),
        ({"base_url": "//evil.example/"}, NoForward, None),
        ({"socket": "/tmp/a:127.0.0.1:22"}, NoForward, None),
        ({"node": "-oProxyCommand=x"}, NoForward, None),
        ({"host_keys": []}, NoForward, "me@lab: the session's record has no host keys of node1. Launch it again"),
    ],
)
def test_a_session_that_cannot_be_connected_to(
    world: World, changes: dict[str, object], error: type[Exception], message: str | None
) -> None:
    world.tell(**changes)
    with pytest.raises(error) as told:
        connect(world)
    assert message is None or str(told.value) == message

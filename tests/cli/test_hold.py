"""A connection that another process holds: joined, replaced, ended; over a real sshd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import NOBODY, identify

from hpc_jupyter import forward, hold
from hpc_jupyter.connection import Link
from hpc_jupyter.errors import Failure, NoForward, NoSession, Unreachable, exit_code
from hpc_jupyter.exits import Exit
from hpc_jupyter.state import Held
from tests.cli.conftest import TOKEN, World, connect, free_port


@contextmanager
def held_elsewhere(world: World) -> Iterator[tuple[Link, subprocess.Popen[bytes]]]:
    """A connection that another process holds."""
    link = connect(world)
    other = subprocess.Popen(["sleep", "60"])
    ssh_process = link.forward.process if link.forward else NOBODY
    world.connector.store.write("default", Held(port=link.route.port, holder=identify(other.pid), ssh=ssh_process))
    try:
        yield link, other
    finally:
        hold.close(link)
        other.kill()
        other.wait()


def test_a_second_process_joins_the_connection_of_the_first(world: World) -> None:
    link = connect(world)
    ssh_process = link.forward.process if link.forward else NOBODY
    other = subprocess.Popen(["sleep", "60"])
    try:
        connector = world.connector
        connector.store.write("default", Held(port=link.route.port, holder=identify(other.pid), ssh=ssh_process))
        joined = connector.connect(connector.attach())
        assert (joined.holder.pid, joined.forward, joined.url) == (other.pid, None, link.url)
    finally:
        hold.close(link)
        other.kill()
        other.wait()


@pytest.mark.rows("F34")
def test_what_a_killed_holder_left_is_ended(world: World) -> None:
    link = connect(world)
    left = link.forward.process if link.forward else NOBODY
    world.connector.store.write("default", Held(port=link.route.port, holder=identify(0), ssh=left))
    second = connect(world)
    try:
        assert not left.is_alive
        assert second.route.port == link.route.port
    finally:
        hold.close(link)
        hold.close(second)


def test_a_port_that_is_taken_does_not_end_the_connection_that_there_is(world: World) -> None:
    with held_elsewhere(world) as (link, other), socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with pytest.raises(NoForward) as told:
            world.connector.connect(world.connector.attach(), port=port)
        assert other.poll() is None
        assert forward.ask(link.route.url, TOKEN).ok
        assert world.connector.connect(world.connector.attach()).holder.pid == other.pid
    assert str(told.value) == f"port {port} of this machine is taken by another program. Choose one with --port"


def test_a_new_port_that_leads_nowhere_does_not_end_the_connection_that_there_is(world: World) -> None:
    with held_elsewhere(world) as (link, other):
        attached = world.connector.attach()
        gone = replace(attached, record=replace(attached.record, host_keys=[]))
        with pytest.raises(NoForward):
            world.connector.connect(gone, port=free_port())
        assert other.poll() is None
        assert forward.ask(link.route.url, TOKEN).ok


def test_a_new_port_replaces_the_connection_that_there_is(world: World) -> None:
    port = free_port()
    with held_elsewhere(world) as (link, other):
        moved = world.connector.connect(world.connector.attach(), port=port)
        try:
            assert (moved.route.port, moved.holder.pid) == (port, os.getpid())
            assert other.wait(timeout=5) == -signal.SIGTERM
            assert not forward.ask(link.route.url, TOKEN).ok
            assert world.connector.store.read("default").port == port
        finally:
            hold.close(moved)


def test_one_answer_that_goes_wrong_does_not_end_a_connection(world: World) -> None:
    with held_elsewhere(world) as (_link, other):
        world.server.stumbles = 1
        assert world.connector.connect(world.connector.attach()).holder.pid == other.pid


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Exit.FAILED, Failure),
        (Exit.BAD_INPUT, Failure),
        (Exit.UNREACHABLE, Unreachable),
        (Exit.NO_SESSION, NoSession),
        (Exit.BUSY, Busy),
    ],
)
def test_an_account_that_answers_with_an_error(world: World, code: Exit, error: type[HpcJupyterError]) -> None:
    world.answer({"error": "there is a reason"}, code=code)
    with pytest.raises(error) as told:
        connect(world)
    assert type(told.value) is error
    assert (str(told.value), exit_code(told.value)) == ("there is a reason", code)

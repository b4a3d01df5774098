"""A connection that is held: joined, mended, replaced, and ended with its session; over a real sshd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import NOBODY, identify

from hpc_jupyter import forward, hold, state
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


def test_a_connection_whose_ssh_was_killed_is_mended_under_the_same_port(world: World) -> None:
    link = connect(world)
    pid = link.forward.process.pid if link.forward else 0
    os.kill(pid, signal.SIGKILL)
    said: list[str] = []
    mended = hold.mend(world.connector, link, said.append)
    try:
        assert mended.route.port == link.route.port
        assert forward.ask(mended.route.url, TOKEN).ok
        assert said == []
    finally:
        hold.close(link)
        hold.close(mended)


def test_holding_ends_with_the_session(world: World) -> None:
    link = connect(world)
    world.tell(state="ended", how="time limit", reason="the job reached its walltime")
    os.kill(link.forward.process.pid if link.forward else 0, signal.SIGTERM)
    said: list[str] = []
    with pytest.raises(NoSession) as told:
        hold.hold(world.connector, link, said.append)
    assert str(told.value) == (
        "Session default has ended (time limit: the job reached its walltime). "
        "Start a new one: hpc-jupyter launch me@lab"
    )
    assert [line.split("(")[0] for line in said] == ["The connection to node1 is lost "]
    assert world.connector.store.read("default") == Held(port=link.route.port)


def test_mending_goes_on_while_the_cluster_is_away(world: World) -> None:
    link = connect(world)
    world.stop_sshd()
    ssh.close_master(world.access.files)
    said: list[str] = []

    def come_back(text: str) -> None:
        said.append(text)
        if len(said) == 1:
            world.start_sshd()

    mended = hold.mend(world.connector, link, come_back)
    hold.close(mended)
    hold.close(link)
    assert said[0].startswith("Still trying: lab: login host 127.0.0.1: port ")


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


@pytest.mark.parametrize("code", [Exit.FAILED, Exit.UNREACHABLE, Exit.BUSY])
def test_mending_goes_on_while_the_account_cannot_say(world: World, code: Exit) -> None:
    link = connect(world)
    hold.close(link)
    world.answer({"error": "not now"}, code=code)
    said: list[str] = []

    def recover(text: str) -> None:
        said.append(text)
        world.tell()

    mended = hold.mend(world.connector, link, recover)
    hold.close(mended)
    assert said == ["Still trying: not now"]


def test_mending_waits_for_whoever_has_the_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_LOCK_SECONDS", 0.2)
    link = connect(world)
    hold.close(link)
    said: list[str] = []
    locked: Any = world.connector.store.lock("default")
    locked.__enter__()

    def unlock(text: str) -> None:
        said.append(text)
        locked.__exit__(None, None, None)

    mended = hold.mend(world.connector, link, unlock)
    hold.close(mended)
    assert said[0].startswith("Still trying: another hpc-jupyter has been connecting to session default of me@lab")

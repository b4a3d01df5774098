"""A connection that breaks and heals, or ends with its session; over a real sshd."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import identify

from hpc_jupyter import forward, hold, state
from hpc_jupyter.connection import Link
from hpc_jupyter.errors import NoSession, SessionFailed, Unreachable, exit_code
from hpc_jupyter.exits import Exit
from hpc_jupyter.probe import Answer
from hpc_jupyter.state import Held
from tests.cli.conftest import TOKEN, World, connect, mend, sshd_config

SECONDS = 60
"""Far more than a machine takes that nine others use as well."""


@dataclass
class Holding:
    """A connection that a thread holds."""

    world: World
    holder: hold.Holder
    said: list[str] = field(default_factory=list)
    ended: list[BaseException] = field(default_factory=list)

    @property
    def forward(self) -> forward.Forward:
        assert self.holder.link.forward is not None
        return self.holder.link.forward

    def answers(self) -> bool:
        """Whether the session answers at the address that there was from the start."""
        route = self.holder.link.route
        return forward.ask(route.url, TOKEN, sha256=route.sha256).ok

    def until(self, true: Callable[[], object]) -> float:
        """Wait for it; how long it took."""
        begun = time.monotonic()
        while not true():
            assert time.monotonic() < begun + SECONDS, (self.said, self.ended)
            time.sleep(0.05)
        return time.monotonic() - begun


@contextlib.contextmanager
def held(world: World) -> Iterator[Holding]:
    """Hold a connection; the session ends afterwards."""
    said: list[str] = []
    holding = Holding(world, hold.Holder(world.connector, connect(world), said.append), said)

    def run() -> None:
        try:
            holding.holder.run()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            holding.ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield holding
    finally:
        world.tell(state="ended")
        world.schedulers_word(state="ended")
        world.server.accepts = False
        holding.forward.process.end()
        thread.join(SECONDS)
        assert not thread.is_alive(), said


def children(pid: int) -> list[tuple[int, str]]:
    """The processes that ``pid`` has started, and their command lines."""
    told = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    found = (line.strip().partition(" ") for line in told.stdout.splitlines())
    return [(int(pid), argv) for pid, _space, argv in found]


@pytest.mark.rows("F45")
def test_a_killed_ssh_and_a_killed_jump_process_are_replaced_under_the_same_port(world: World) -> None:
    with held(world) as holding:
        port = holding.holder.link.route.port
        first = holding.forward.process
        os.kill(first.pid, signal.SIGKILL)
        holding.until(lambda: holding.forward.process != first and holding.answers())
        second = holding.forward.process
        [jump] = [pid for pid, argv in children(second.pid) if " -W " in argv]
        os.kill(jump, signal.SIGKILL)
        holding.until(lambda: holding.forward.process != second and holding.answers())
        assert holding.holder.link.route.port == port
        assert world.logins == 4
    assert [text for text in holding.said if "Back" not in text] == []


@pytest.mark.rows("F25")
def test_a_killed_master_is_replaced(world: World) -> None:
    with held(world) as holding:
        master = ssh.master_pid(world.access.files.control)
        os.kill(master, signal.SIGKILL)
        holding.until(lambda: ssh.master_pid(world.access.files.control) not in (0, master) and holding.answers())
    assert isinstance(holding.ended[0], NoSession)


@pytest.mark.rows("F21")
def test_a_login_host_that_was_away_is_tried_each_second_and_the_wait_is_told(world: World) -> None:
    with held(world) as holding:
        world.stop_sshd()
        holding.until(lambda: holding.said)
        world.start_sshd()
        assert holding.until(holding.answers) < 10
        holding.until(lambda: len(holding.said) == 2)
    assert re.fullmatch(
        r"Connection lost \d+ s ago: login host 127\.0\.0\.1 does not answer; trying again", holding.said[0]
    )
    assert re.fullmatch(r"Back after \d+ s", holding.said[1])


def test_a_master_that_carries_no_more_ends_once_there_is_another_one(world: World) -> None:
    hold.close(connect(world))
    way = world.access
    first = ssh.master_pid(way.files.control)
    with stopped(world):
        assert not way.carries(seconds=0.5)
        assert way.log_in(world.connector.progress, interactive=False, instead_of=first)
        second = ssh.master_pid(way.files.control)
        assert second not in (0, first)
        assert way.carries()
        assert not identify(first).is_alive
        assert not way.log_in(world.connector.progress, interactive=False)


@pytest.mark.rows("F24")
def test_a_login_that_is_refused_leaves_the_one_that_there_was(world: World) -> None:
    hold.close(connect(world))
    way = world.access
    first = ssh.master_pid(way.files.control)
    with locked(world), pytest.raises(Unreachable) as told:
        way.log_in(world.connector.progress, interactive=False, instead_of=first)
    assert told.value.cause == "denied"
    assert ssh.master_pid(way.files.control) == first
    assert way.carries()


@contextlib.contextmanager
def stopped(world: World) -> Iterator[None]:
    """The connections that stand carry nothing; new ones do."""
    pids = [pid for pid, _argv in children(world.sshd.pid)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def locked(world: World) -> Iterator[None]:
    """No key is let in."""
    keys = world.home / "id.pub"
    kept = keys.read_text()
    keys.write_text("")
    try:
        yield
    finally:
        keys.write_text(kept)


@pytest.mark.rows("F23", "F24")
def test_a_refused_login_is_tried_once_and_then_a_login_by_hand_is_awaited(world: World) -> None:
    with held(world) as holding:
        refused = (world.home / "sshd.log").read_text().count("Connection closed by authenticating user")
        with locked(world):
            os.kill(ssh.master_pid(world.access.files.control), signal.SIGKILL)
            holding.until(lambda: holding.said)
            time.sleep(3)  # long enough for another try, if there were one
            log = (world.home / "sshd.log").read_text()
        assert log.count("Connection closed by authenticating user") - refused == 1
        assert ssh.open_master(world.cluster, world.access.files)
        holding.until(holding.answers)
    assert re.fullmatch(
        rf"Connection lost \d+ s ago: login host 127\.0\.0\.1: {world.cluster.user} was not let in: the account is not "
        r"known there, or the key or password is not accepted \(it takes: publickey.*\); log in once, and it comes "
        r"back by itself: hpc-jupyter login me@lab", holding.said[0],
    )


@pytest.mark.rows("F38")
def test_a_login_host_with_another_key_ends_it_with_both_fingerprints(world: World) -> None:
    pin = world.cluster.host_keys[0][1][0].fingerprint
    with held(world) as holding:
        world.stop_sshd()
        for name in ("host", "host.pub"):
            (world.home / name).unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(world.home / "host")], check=True)
        shown = subprocess.run(["ssh-keygen", "-lf", world.home / "host"], capture_output=True, check=True, text=True)
        world.start_sshd()
        holding.until(lambda: holding.ended)
    [error] = holding.ended
    assert isinstance(error, Unreachable)
    assert exit_code(error) == Exit.UNREACHABLE
    assert str(error).startswith(
        f"lab: login host 127.0.0.1 presents the ED25519 key {shown.stdout.split()[1]}, which is not pinned "
        f"(pinned: {pin}). Nothing was sent. "
    )


@pytest.mark.rows("F9", "F46")
@pytest.mark.parametrize(
    ("how", "reason"),
    [("time limit", "the job's time is over"), ("idle", "nobody used it for 3600 seconds")],
)
def test_holding_ends_with_the_session(world: World, how: str, reason: str) -> None:
    link = connect(world)
    world.tell(state="ended", how=how, reason=reason)
    world.schedulers_word(how=how, reason=reason)
    os.kill(link.forward.process.pid if link.forward else 0, signal.SIGTERM)
    world.server.accepts = False
    said: list[str] = []
    with pytest.raises(NoSession) as told:
        hold.Holder(world.connector, link, said.append).run()
    assert str(told.value) == (
        f"Session default has ended ({how}: {reason}). Start a new one: hpc-jupyter launch me@lab"
    )
    assert said == []
    assert world.connector.store.read("default") == Held(port=link.route.port)


@pytest.mark.rows("F10", "F12")
def test_a_session_that_failed_ends_with_the_last_lines_of_its_log(world: World) -> None:
    link = connect(world)
    log = world.home / "log"
    log.write_text("".join(f"line {number}\n" for number in range(40)))
    ended: dict[str, Any] = {
        "state": "ended", "how": "failed", "reason": "Jupyter ended with signal 9: Killed", "log": str(log)
    }
    world.tell(**ended)
    world.schedulers_word(**ended)
    os.kill(link.forward.process.pid if link.forward else 0, signal.SIGTERM)
    world.server.accepts = False
    with pytest.raises(SessionFailed) as told:
        hold.Holder(world.connector, link, list[str]().append).run()
    assert str(told.value) == (
        "Session default has ended (failed: Jupyter ended with signal 9: Killed). "
        "Start a new one: hpc-jupyter launch me@lab"
    )
    assert told.value.detail == tuple(f"line {number}" for number in range(25, 40))
    assert exit_code(told.value) == Exit.SESSION_FAILED


@pytest.mark.rows("F32")
def test_a_scheduler_that_cannot_be_asked_ends_nothing(world: World) -> None:
    world.schedulers_word(state="unknown", reason="squeue did not answer within 30 seconds")
    with held(world) as holding:
        world.server.accepts = False
        holding.until(lambda: holding.said)
        world.server.accepts = True
        holding.until(holding.answers)
        assert holding.ended == []
        world.schedulers_word()


@pytest.mark.rows("F7")
def test_a_session_that_waits_again_is_followed_to_where_it_starts(world: World) -> None:
    with held(world) as holding:
        node1 = holding.holder.link.route
        world.tell(state="queued", reason="BeginTime", node="", generation=2)
        before = holding.forward.process
        world.server.accepts = False
        os.kill(before.pid, signal.SIGKILL)
        holding.until(lambda: holding.said)
        world.server.accepts = True
        world.tell(state="ready", reason="", node="node2")
        holding.until(lambda: len(holding.said) == 2)
        assert holding.answers()
        assert holding.holder.link.route.url == node1.url
    assert re.fullmatch(
        r"Connection lost \d+ s ago: Job 17 waits in the queue: its start time has not come \(BeginTime\); "
        r"trying again", holding.said[0],
    )
    assert re.fullmatch(r"Back after \d+ s, now on node2", holding.said[1])


@pytest.mark.rows("F20")
def test_one_wrong_answer_and_a_short_silence_replace_nothing(world: World) -> None:
    with held(world) as holding:
        before = holding.forward.process
        world.server.stumbles = 1
        holding.until(lambda: world.server.stumbles == 0)
        with stopped(world):
            assert not holding.forward.ask(TOKEN, seconds=4).ok
        holding.until(holding.answers)
        time.sleep(6)  # the time in which the next probe comes
        assert holding.forward.process == before
        assert holding.answers()


@contextlib.contextmanager
def sshd_that_says(world: World, *options: str) -> Iterator[None]:
    """A login host and node with ``options``; nobody is logged in yet."""
    world.stop_sshd()
    sshd_config(world.home, world.port, *options)
    world.start_sshd()
    yield


@pytest.mark.rows("F49")
def test_a_channel_that_is_closed_for_idleness_takes_nothing_else_along(world: World) -> None:
    with sshd_that_says(world, "ChannelTimeout direct-streamlocal@openssh.com=1s"):
        link = connect(world)
    assert link.forward is not None
    try:
        with socket.create_connection(("127.0.0.1", link.route.port), timeout=30) as idle:
            assert idle.recv(1) == b""
        assert link.forward.ask(TOKEN).ok
    finally:
        hold.close(link)


@pytest.mark.rows("F50")
def test_a_login_host_that_allows_no_more_sessions_is_named(world: World) -> None:
    with sshd_that_says(world, "MaxSessions 0"), pytest.raises(Unreachable) as told:
        connect(world)
    assert world.access.carries()
    assert str(told.value) == (
        "lab: login host 127.0.0.1 allows no more sessions on one connection (MaxSessions). Close some, or wait"
    )


@pytest.mark.rows("T5")
def test_a_listener_of_somebody_else_is_shown_no_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    link = connect(world)
    assert link.forward is not None
    shown = len(world.server.tokens)
    monkeypatch.setattr(forward, "is_ours", lambda _port: False)
    assert link.forward.ask(TOKEN) == Answer(
        ok=False, reason=f"nothing of yours listens on port {link.route.port} of this machine"
    )
    hold.close(link)
    assert len(world.server.tokens) == shown


def test_mending_goes_on_while_the_account_cannot_say(world: World) -> None:
    link = connect(world)
    hold.close(link)
    world.answer({"error": "not now"}, code=Exit.BUSY)
    world.server.accepts = False
    said: list[str] = []

    def recover(text: str) -> None:
        said.append(text)
        world.server.accepts = True
        world.tell()

    mended = mend(world.connector, link, recover)
    hold.close(mended)
    assert [re.sub(r"\d+", "N", text) for text in said] == [
        "Connection lost N s ago: not now; trying again", "Back after N s"
    ]


def test_mending_waits_for_whoever_has_the_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_LOCK_SECONDS", 0.2)
    link = connect(world)
    hold.close(link)
    said: list[str] = []
    locked: Any = world.connector.store.lock("default")
    locked.__enter__()

    def unlock(text: str) -> None:
        if not said:
            locked.__exit__(None, None, None)
        said.append(text)

    mended: Link = mend(world.connector, link, unlock)
    hold.close(mended)
    assert "another hpc-jupyter has been connecting to session default of me@lab for more than" in said[0]

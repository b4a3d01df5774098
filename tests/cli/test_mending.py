"""What a holder that mends its connection must not do: hammer, give up too early or never, show the token."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import OFFERS

from hpc_jupyter import connection, forward, hold, listener
from hpc_jupyter.connection import NoRoute, Tried
from hpc_jupyter.countdown import Countdown
from hpc_jupyter.errors import NoForward, NoSession, Unreachable, Waiting
from hpc_jupyter.outage import Outage
from tests.cli.conftest import World, connect
from tests.cli.test_heal import stopped
from tests.cli.test_logout import gone


def _holder(world: World) -> hold.Holder:
    return hold.Holder(world.connector, connect(world), print)


@pytest.mark.rows("F22")
def test_of_two_holders_after_a_sleep_one_logs_in_and_the_other_uses_that(world: World) -> None:
    first, second = _holder(world), _holder(world)
    before, logins = ssh.master_pid(world.access.files.control), world.logins
    try:
        with stopped(world):
            first._log_in(Outage(print, cut=True))
            new = ssh.master_pid(world.access.files.control)
            second._log_in(Outage(print, cut=True))
            assert ssh.master_pid(world.access.files.control) == new != before
            assert world.logins == logins + 1
            assert gone(before)
    finally:
        for each in (first, second):
            hold.close(each.link)


def test_a_host_that_is_gone_for_good_is_given_up_after_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "_GIVE_UP_SECONDS", 1.0)
    holder = _holder(world)
    hold.close(holder.link)
    world.stop_sshd()
    try:
        with pytest.raises(Unreachable) as told:
            holder.mend(Outage(print))
    finally:
        world.start_sshd()
    assert str(told.value) == "lab: login host 127.0.0.1 has not answered for a day"


def _refuse_nodes(world: World) -> None:
    """The node lets nobody in, the login host does."""
    own = world.home / "own_config"
    own.write_text(own.read_text().replace("HostKeyAlias node1", "HostKeyAlias node1\n  PubkeyAuthentication no"))


def test_a_node_that_refuses_us_ends_it_though_there_are_other_routes(world: World) -> None:
    world.cluster = replace(world.cluster, route="auto")
    holder = _holder(world)
    assert holder.link.route.name == "node"
    hold.close(holder.link)
    _refuse_nodes(world)
    assert world.access.carries()
    with pytest.raises(NoRoute) as told:
        holder.mend(Outage(print, gone=True))
    assert told.value.cause == "denied"
    assert holder._refused == {"node1": {"node"}}
    assert str(told.value).startswith("me@lab: no route works. node: ")
    assert (world.home / "sshd.log").read_text().count("closed by authenticating user") == 1


def test_a_route_that_was_refused_is_left_alone_by_one_that_held_another() -> None:
    other = [Tried("step", "srun did not answer"), Tried("node", "no", "denied")]
    assert (NoRoute("x", other).cause, NoRoute("x", other).refused) == ("", {"node"})
    assert NoRoute("x", [*other, Tried("lan", "later", "turned away")]).cause == "turned away"
    assert NoRoute("x", [Tried("step", "no", "untrusted"), *other]).cause == "untrusted"


def test_a_route_that_was_refused_is_not_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.cluster = replace(world.cluster, route="auto")
    holder = _holder(world)
    hold.close(holder.link)
    asked: list[Any] = []

    def note(_self: object, _attached: object, _wanted: object, *, names: list[str], seconds: float) -> None:
        asked.append(names)
        raise NoRoute("x", [Tried(names[0], "slow"), Tried("node", "no", "denied")])

    monkeypatch.setattr(connection.Connector, "_connect", note)
    holder.link = replace(holder.link, route=replace(holder.link.route, name="step"))
    for _each in range(2):
        with pytest.raises(NoForward):
            holder._as_told()
    assert asked == [["step", "node"], ["step"]]


def test_where_all_routes_that_fit_have_refused_no_other_offer_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.cluster = replace(world.cluster, route="auto")
    holder = _holder(world)
    hold.close(holder.link)
    tried: list[str] = []
    monkeypatch.setattr(connection.Connector, "_by", lambda _self, name, *_others, **_more: tried.append(name))
    before = replace(holder.link, route=replace(holder.link.route, name="of before"))
    with pytest.raises(NoForward) as told:
        world.connector.reconnect(holder.link.attached, before, without=OFFERS)
    assert tried == []
    assert str(told.value) == (
        "me@lab: session default is offered for no route that may be tried again. Connect anew, which may offer it for "
        "another: hpc-jupyter launch me@lab"
    )


@pytest.mark.rows("F7")
def test_a_node_that_refuses_us_since_the_job_waits_again_ends_nothing(world: World) -> None:
    """The record is as the dead node has left it; only the scheduler knows."""
    holder = _holder(world)
    hold.close(holder.link)
    _refuse_nodes(world)
    world.schedulers_word(state="queued", reason="BeginTime", node="")
    with pytest.raises(Waiting) as told:
        holder._as_told()
    assert holder._is_worth_trying_again(told.value)
    assert str(told.value) == (
        "me@lab: Job 17 waits in the queue: its start time has not come (BeginTime). "
        "Watch it: hpc-jupyter launch me@lab"
    )


@contextlib.contextmanager
def _another_listener(port: int) -> Iterator[list[bytes]]:
    """Somebody who binds the port that a forward has left, and keeps what is shown."""
    shown: list[bytes] = []
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    met = server.accept()[0]
                    met.settimeout(1)
                    with contextlib.suppress(OSError), met:
                        shown.append(met.recv(4096))

        threading.Thread(target=serve, daemon=True).start()
        yield shown
        server.shutdown(socket.SHUT_RDWR)


class _Silent:
    """Progress that nobody sees."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def say(self, text: str) -> None:
        """Nothing."""

    def stand(self, text: str) -> None:  # noqa: ARG002
        self.over.set()

    def now(self, text: str) -> None:
        """Nothing."""

    def tick(self) -> None:
        """Nothing."""

    def done(self) -> None:
        self.over.set()


@pytest.mark.rows("T5")
@pytest.mark.parametrize("rides", [True, False])
def test_while_a_connection_is_mended_nobody_at_its_port_is_shown_the_token(
    world: World, monkeypatch: pytest.MonkeyPatch, rides: bool
) -> None:
    if rides:
        world.cluster = replace(world.cluster, scheduler="none")
        world.tell(scheduler="none", login_host="node1", offer="socket")
    holder = _holder(world)
    assert bool(holder.link.route.rides) is rides
    for module in (forward, listener):  # as where the system does not say whose a listener is
        monkeypatch.setattr(module, "is_ours", lambda _port: True)
    hold.close(holder.link)
    with _another_listener(holder.link.route.port) as shown:
        assert not holder._ask()[0]
        progress = _Silent()
        with Countdown(lambda: holder.link, progress):
            assert progress.over.wait(10)
    assert shown == []


@pytest.mark.parametrize("passing", [OSError(24, "Too many open files"), subprocess.TimeoutExpired("ps", 30)])
def test_what_fails_on_this_machine_alone_ends_no_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, passing: Exception
) -> None:
    said: list[str] = []
    holder = hold.Holder(world.connector, connect(world), said.append)
    before, faults = holder.link, [passing, passing]

    def fails_twice(self: hold.Holder) -> Outage:
        if faults:
            raise faults.pop()
        assert self.link is before
        assert before.forward is not None
        assert before.forward.is_alive
        raise NoSession("over")

    monkeypatch.setattr(hold.Holder, "_until_lost", fails_twice)
    with pytest.raises(NoSession):
        holder.run()
    assert said == [f"Cannot tell whether the connection works: {passing}; trying again"]


def test_a_full_disk_ends_no_connection_and_leaves_no_ssh(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[connection.Link] = []
    said: list[str] = []
    keep = connection.Connector._keep

    def full_at_first(self: connection.Connector, link: connection.Link) -> connection.Link:
        kept.append(link)
        if len(kept) == 2:
            raise OSError(28, "No space left on device")
        return keep(self, link)

    monkeypatch.setattr(connection.Connector, "_keep", full_at_first)
    holder = hold.Holder(world.connector, connect(world), said.append)
    hold.close(holder.link)
    holder.mend(Outage(said.append))
    try:
        assert [each.forward.is_alive for each in kept if each.forward] == [False, False, True]
    finally:
        hold.close(holder.link)
    assert said[0].endswith(": [Errno 28] No space left on device; trying again")

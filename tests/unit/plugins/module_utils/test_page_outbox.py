# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, Set

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import page_outbox
from ansible_collections.hpc.jupyter.plugins.module_utils.page_outbox import Line, Lines, Outbox


class Wire:
    """A connection: what was written, and the pings, in order."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def write(self, message: Any, _binary: bool) -> None:
        self.sent.append(message)

    def ping(self, payload: bytes) -> None:
        self.sent.append(payload)

    @property
    def messages(self) -> list[Any]:
        return [each for each in self.sent if isinstance(each, str)]

    @property
    def pings(self) -> list[bytes]:
        return [each for each in self.sent if isinstance(each, bytes)]


def _outbox(*, size: int = 10**6, count: int = 10**6, tail: int = 0) -> tuple[Outbox, list[str]]:
    said: list[str] = []
    made = Outbox(lambda text, *words: said.append(text % words),
                  limit_bytes=size, limit_count=count, tail_bytes=tail)
    return made, said


def _attached(outbox: Outbox, seen: int | None) -> Wire:
    wire = Wire()
    outbox.attach(wire, seen)
    return wire


def _put(outbox: Outbox, text: str) -> None:
    for each in text:
        outbox.put(each)


def test_what_was_written_into_a_dead_connection_is_told_again_and_nothing_twice() -> None:
    outbox, _said = _outbox()
    _attached(outbox, 0)
    _put(outbox, "ab")
    outbox.detach()
    _put(outbox, "cd")
    assert _attached(outbox, 1).messages == ["b", "c", "d"]


def test_a_client_that_does_not_count_gets_what_came_when_it_was_known_to_be_gone() -> None:
    outbox, said = _outbox()
    _attached(outbox, None)
    _put(outbox, "ab")
    outbox.detach()
    _put(outbox, "cd")
    assert _attached(outbox, None).messages == ["c", "d"]
    assert not said


def test_a_server_that_knows_nothing_of_a_page_goes_on_counting_where_it_is() -> None:
    outbox, said = _outbox()
    wire = _attached(outbox, 500)
    _put(outbox, "ab")
    assert (wire.messages, wire.pings) == (["a", "b"], [b"hpc-jupyter 501"])
    assert _attached(outbox, 501).messages == ["b"]
    assert not said


def test_a_pong_confirms_what_was_written_before_its_ping() -> None:
    outbox, _said = _outbox(tail=2)
    wire = _attached(outbox, 0)
    _put(outbox, "abcdef")
    assert outbox.size == 6
    outbox.pong(wire, b"hpc-jupyter 1")
    assert (outbox.size, wire.pings) == (6, [b"hpc-jupyter 1", b"hpc-jupyter 6"])  # the tail is kept
    outbox.pong(wire, b"hpc-jupyter 6")
    assert (outbox.size, len(wire.pings)) == (2, 2)
    assert _attached(outbox, 5).messages == ["f"]


@pytest.mark.parametrize("payload", [b"", b"hpc-jupyter", b"hpc-jupyter x", b"hpc-jupyter 1234567890123456", b"1"])
def test_other_pongs_confirm_nothing(payload: bytes) -> None:
    outbox, _said = _outbox()
    wire = _attached(outbox, 0)
    _put(outbox, "abc")
    outbox.pong(wire, payload)
    outbox.pong(Wire(), b"hpc-jupyter 3")
    assert outbox.size == 3


@pytest.mark.parametrize("limits", [{"size": 3}, {"count": 3}])
def test_what_is_kept_is_bounded_and_what_is_lost_is_said(limits: dict[str, int]) -> None:
    outbox, said = _outbox(**limits)
    _attached(outbox, 0)
    _put(outbox, "ab")
    outbox.detach()
    _put(outbox, "cdef")
    assert outbox.size == 3
    assert _attached(outbox, 1).messages == ["d", "e", "f"]
    assert said == [
        "4 bytes of a kernel's messages wait for a page: the oldest are kept no longer",
        "2 messages of the kernel are lost to the page: too many came while it was cut off",
    ]
    assert _attached(outbox, 3).messages == ["f"]  # counted by the page: a, d and e


def test_a_connection_of_before_that_comes_late_changes_no_number() -> None:
    outbox, said = _outbox(tail=2)
    wire = _attached(outbox, 0)
    _put(outbox, "0123456789")
    outbox.pong(wire, b"hpc-jupyter 10")
    assert _attached(outbox, 5).messages == ["8", "9"]
    _put(outbox, "ab")
    assert _attached(outbox, 10).messages == ["a", "b"]
    assert not said


def test_what_was_lost_is_taken_off_the_count_once_and_a_late_connection_changes_no_number() -> None:
    outbox, said = _outbox(size=3)
    _attached(outbox, 0)
    _put(outbox, "0123456789")
    assert _attached(outbox, 5).messages == ["7", "8", "9"]  # the page has 8 then
    assert _attached(outbox, 3).messages == ["7", "8", "9"]
    _put(outbox, "a")
    assert _attached(outbox, 8).messages == ["a"]
    assert [text for text in said if "lost" in text] == [
        "2 messages of the kernel are lost to the page: too many came while it was cut off"
    ]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_connection_delivers_the_page_has_everything_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    outbox, said = _outbox(tail=chance.randrange(4, 40))
    page: list[str] = []
    told = 0
    for _connection in range(30):
        wire = _attached(outbox, len(page))
        read = 0
        for _each in range(chance.randrange(20)):
            outbox.put(f"{told:04}")
            told += 1
            if chance.random() < 0.4:
                pongs = [each for each in wire.sent[read:] if isinstance(each, bytes)]
                page += [each for each in wire.sent[read:] if isinstance(each, str)]
                read = len(wire.sent)
                for payload in pongs:
                    outbox.pong(wire, payload)
        if chance.random() < 0.5:
            outbox.detach()
            outbox.put(f"{told:04}")
            told += 1
    page += _attached(outbox, len(page)).messages
    assert page == [f"{number:04}" for number in range(told)]
    assert not said


class Stream:
    """One of a kernel's channels."""

    def __init__(self) -> None:
        self.shut = False

    def closed(self) -> bool:
        return self.shut

    def on_recv(self, _callback: object) -> None:
        """Nobody reads it any more."""

    def close(self) -> None:
        self.shut = True


def _left(
    lines: Lines, key: str, *, keep: bool = True, closed: bool = False, kernel: str = "k"
) -> tuple[Line, Stream]:
    """The line of a page that was there and is cut off."""
    line, stream = lines.take(key, kernel_id=kernel, protocol=None), Stream()
    lines.leave(key, {"iopub": stream}, keep=keep, closed=closed)
    return line, stream


def test_a_page_comes_back_to_its_line() -> None:
    lines = Lines(print)
    line, stream = _left(lines, "one")
    assert lines.take("one", kernel_id="k", protocol=None) is line
    assert line.channels == {"iopub": stream}
    assert not lines.look([])  # nobody is cut off
    assert not stream.shut


@pytest.mark.parametrize(("keep", "protocol"), [(False, None), (True, "v1")])
def test_what_no_page_can_come_back_to_is_not_kept(keep: bool, protocol: str | None) -> None:
    lines = Lines(print)
    line, stream = _left(lines, "one", keep=keep)
    assert lines.take("one", kernel_id="k", protocol=protocol) is not line
    assert stream.shut


def test_a_new_connection_ends_the_one_that_jupyter_takes_for_alive() -> None:
    lines = Lines(print)
    line, stream = lines.take("one", kernel_id="k", protocol=None), Stream()
    line.owner = SimpleNamespace(disconnect=lambda: lines.leave("one", {"iopub": stream}, keep=True))
    assert lines.take("one", kernel_id="k", protocol=None).channels == {"iopub": stream}


def test_nothing_is_kept_beyond_the_life_of_a_kernel() -> None:
    lines = Lines(print)
    line, stream = _left(lines, "one")
    assert lines.look(["k"])
    assert not lines.look([])
    assert stream.shut
    assert lines.take("one", kernel_id="k", protocol=None) is not line


def test_few_pages_of_a_kernel_are_waited_for() -> None:
    lines = Lines(print)
    streams = [_left(lines, str(number))[1] for number in range(page_outbox.MOST_LEFT + 1)]
    assert [stream.shut for stream in streams] == [True, *[False] * page_outbox.MOST_LEFT]
    lines.close()
    assert all(stream.shut for stream in streams)


@pytest.mark.parametrize("closed", [False, True])
def test_a_page_that_has_taken_leave_is_not_waited_for_long(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines(print)
    _line, stream = _left(lines, "one", closed=closed)
    assert lines.look(["k"])
    monkeypatch.setattr(page_outbox, "CLOSED_SECONDS", 0.0)
    assert lines.look(["k"]) is not closed
    assert stream.shut is closed


def test_what_waits_for_all_pages_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_outbox, "LEFT_BYTES", 25)
    said: list[str] = []
    lines = Lines(lambda text, *words: said.append(text % words))
    left = [_left(lines, key, kernel=key) for key in ("empty", "oldest", "older", "old")]
    for line, _stream in left[1:]:
        line.outbox.put("x" * 10)
    assert lines.look([line.kernel_id for line, _stream in left])
    assert [stream.shut for _line, stream in left] == [False, True, False, False]
    assert said == [
        "30 bytes of kernels' messages wait for pages that are cut off: the 10 of the one that is gone longest are "
        "kept no longer"
    ]


class Kernels(Set[str]):
    """Jupyter's kernels: one, which tells of its restarts."""

    buffer_offline_messages = True

    def __init__(self) -> None:
        super().__init__({"k"})
        self.told: list[tuple[Any, str]] = []
        self.ports = [1, 2]
        self.provisioner = SimpleNamespace(pid=7)

    def stop_buffering(self, _kernel: str) -> None:
        """Nothing was buffered."""

    def add_restart_callback(self, _kernel: str, callback: Any, event: str = "restart") -> None:
        self.told.append((callback, event))

    def remove_restart_callback(self, _kernel: str, callback: Any, event: str = "restart") -> None:
        if (callback, event) in self.told:
            self.told.remove((callback, event))

    def fail(self, event: str) -> None:
        for callback, of in self.told:
            if of == event:
                callback()


class Tab:
    """A page's websocket, as Tornado has it, and what the page has got."""

    close_code = None

    def __init__(self) -> None:
        self.sent: list[Any] = []
        ends = {"client_terminated": False, "server_terminated": False}
        self.ws_connection: Any = SimpleNamespace(**ends, close=lambda *_: None)
        self._said = {page_outbox.SEEN: "0", "session_id": "one"}

    def get_query_argument(self, name: str, _default: str) -> str:
        return self._said[name]

    def on_pong(self, _data: bytes) -> None:
        """Jupyter's own."""

    def ping(self, _payload: bytes) -> None:
        """Nobody answers."""

    def write_message(self, message: Any, *, binary: bool) -> Any:  # noqa: ARG002
        self.sent.append(message)
        return SimpleNamespace(add_done_callback=lambda _done: None)


class Usual:
    """What Jupyter does with a connection by itself."""

    subprotocol = None
    session_key = "k:one"
    kernel_id = "k"

    def __init__(self, kernels: Kernels, tab: Tab) -> None:
        self.multi_kernel_manager = self.kernel_manager = kernels
        self.websocket_handler = tab
        self.channels: dict[str, Stream] = {}
        self.nudged = False

    def connect(self) -> Any:
        self.create_stream()
        self.nudge()
        for callback, event in self._callbacks():
            self.multi_kernel_manager.add_restart_callback("k", callback, event)
        done = SimpleNamespace(cancelled=lambda: False, exception=lambda: None)
        return SimpleNamespace(add_done_callback=lambda callback: callback(done))

    def create_stream(self) -> None:
        self.channels = {"iopub": Stream()}

    def nudge(self) -> None:
        self.nudged = True

    def disconnect(self) -> None:
        for callback, event in self._callbacks():
            self.multi_kernel_manager.remove_restart_callback("k", callback, event)

    def on_kernel_restarted(self) -> None:
        self.write_message("restarting")

    def on_restart_failed(self) -> None:
        self.write_message("dead")

    def write_message(self, message: Any) -> None:
        raise AssertionError(message)

    def _callbacks(self) -> list[tuple[Any, str]]:
        return [(self.on_kernel_restarted, "restart"), (self.on_restart_failed, "dead")]


def _connection(kernels: Kernels, lines: Lines, tab: Tab) -> Any:
    known = {"_lines": lines, "_closed": ValueError,
             "_future": staticmethod(lambda: SimpleNamespace(set_result=lambda _none: None)),
             "_loop": staticmethod(lambda: SimpleNamespace(call_later=lambda *_: None))}
    return type("Connection", (page_outbox._Kept, Usual), known)(kernels, tab)


def _connect(kernels: Kernels, lines: Lines) -> Any:
    made = _connection(kernels, lines, Tab())
    made.connect()
    return made


@pytest.mark.parametrize(("event", "word"), [("restart", "restarting"), ("dead", "dead")])
def test_a_page_that_was_cut_off_is_told_that_its_kernel_died_meanwhile(event: str, word: str) -> None:
    kernels, lines = Kernels(), Lines(print)
    _connect(kernels, lines).disconnect()
    kernels.fail(event)
    back = _connect(kernels, lines)
    assert back.websocket_handler.sent == [word]
    kernels.fail(event)
    assert back.websocket_handler.sent == [word, word]  # once each: nobody stands in for it any more


def test_nobody_listens_for_a_page_that_is_given_up() -> None:
    kernels, lines = Kernels(), Lines(print)
    _connect(kernels, lines).disconnect()
    assert kernels.told
    lines.close()
    assert not kernels.told
    _connect(kernels, lines).disconnect()
    kernels.clear()
    assert not lines.look(kernels)


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_connection_that_fails_at_once_changes_nothing(comes_back: bool) -> None:
    kernels, lines, tab = Kernels(), Lines(print), Tab()
    if comes_back:
        _connect(kernels, lines).disconnect()
    before = [line.channels for line in lines._lines.values()]
    tab.ws_connection = None
    del tab._said[page_outbox.SEEN]
    failed = _connection(kernels, lines, tab)
    with pytest.raises(KeyError):
        failed.connect()
    failed.disconnect()
    assert [line.channels for line in lines._lines.values()] == before
    assert len(before) == comes_back


def test_a_connection_goes_on_with_the_channels_of_the_one_before() -> None:
    kernels, lines = Kernels(), Lines(print)
    first = _connect(kernels, lines)
    channels = first.channels
    assert first.nudged
    first.disconnect()
    second = _connect(kernels, lines)
    assert second.channels is channels
    assert not second.nudged


def test_a_kernel_that_was_restarted_is_awaited_and_what_comes_until_then_is_kept() -> None:
    kernels, lines = Kernels(), Lines(print)
    first = _connect(kernels, lines)
    channels = first.channels
    first.disconnect()
    kernels.provisioner.pid = 8
    second = _connect(kernels, lines)
    assert second.channels is channels
    assert second.nudged


def test_each_page_of_a_kernel_gets_new_channels_where_its_ports_have_changed() -> None:
    kernels = Kernels()
    for lines in (Lines(print), Lines(print)):
        kernels.ports = [1, 2]
        first = _connect(kernels, lines)
        channels = first.channels
        first.disconnect()
        kernels.ports = [3, 4]
        second = _connect(kernels, lines)
        assert channels["iopub"].shut
        assert second.channels is not channels
        assert second.nudged


@pytest.mark.parametrize(("client", "server", "closed"), [
    (True, False, True), (True, True, False), (False, False, False),
])
def test_whether_a_page_takes_leave_is_noted_before_tornado_forgets_it(
    client: bool, server: bool, closed: bool
) -> None:
    kernels, lines = Kernels(), Lines(print)
    connection = _connect(kernels, lines)
    wire = connection.websocket_handler.ws_connection
    wire.client_terminated, wire.server_terminated = client, server
    wire.close(None)
    wire.client_terminated = wire.server_terminated = True
    wire.close()
    connection.disconnect()
    assert [line.closed for line in lines._lines.values()] == [closed]


@pytest.mark.parametrize(("text", "expected"), [
    ("0", 0), ("17", 17), ("", None), ("-1", None), ("1e3", None), ("\xb2", None), ("1" * 16, None),
])
def test_what_a_page_says_that_it_has(text: str, expected: int | None) -> None:
    assert page_outbox.number(text) == expected


def test_a_jupyter_without_what_is_built_upon_is_left_alone() -> None:
    async def connect() -> None:
        """Not as it was."""

    complete = dict.fromkeys(page_outbox._NEEDED, print)
    manager = SimpleNamespace(**dict.fromkeys(page_outbox._NEEDED_OF_MANAGER, print))
    assert page_outbox.unfit(SimpleNamespace(**complete), manager) == ""
    assert page_outbox.unfit(SimpleNamespace(**{**complete, "connect": connect}), manager) == "plain connect"
    complete.pop("nudge")
    assert page_outbox.unfit(SimpleNamespace(**complete), SimpleNamespace()) == (
        "nudge, add_restart_callback, buffer_offline_messages, remove_restart_callback, stop_buffering"
    )

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a session that runs inside Jupyter so that an open page misses nothing in a cut, and sees nothing twice.

Jupyter keeps what a kernel tells only once it has noticed that the page's websocket is closed; what it wrote into a
connection that was dead already is lost. This server extension keeps every message, in memory, until the page has it.
The page counts what it gets (see ``page_script.py``) and says on connecting how much that was; pongs say meanwhile what
need not be kept. A client that says nothing gets what Jupyter itself would give it.

The supervisor puts a copy of this file, alone, on the node (see ``page.py``). Standard library, Tornado and Jupyter
Server 2 only; the latter two are imported when Jupyter loads the extension.
"""

from __future__ import annotations

import collections
import importlib
import inspect
import re
import time
from typing import Any, Callable

SEEN = "hpc_jupyter_seen"
"""The argument of the websocket's address: how many messages of this kernel the page has got under its session."""
LIMIT_BYTES = 64 * 2**20
LIMIT_COUNT = 250_000
TAIL_BYTES = 2**20
"""A pong comes from the browser, not from the page: of what it confirms, the last is kept a while longer."""
MOST_LEFT = 4
"""Pages of one kernel that are cut off; a page that was closed in a cut never comes back."""
LEFT_BYTES = 256 * 2**20
"""What may wait for all pages that are cut off."""
CLOSED_SECONDS = 60.0
"""A closed notebook takes leave as JupyterLab does that connects again, which follows at once."""
_LEFT_PAGE = 1001
"""The websocket's code for a page that was closed or loaded anew."""
_LOOK_SECONDS = 10.0
_PING = re.compile(rb"hpc-jupyter ([0-9]{1,15})")
_NEEDED = ("channels", "close_all", "connect", "create_stream", "disconnect", "kernel_manager", "nudge",
           "on_kernel_restarted", "on_restart_failed", "session_key", "subprotocol", "write_message")
_NEEDED_OF_MANAGER = ("add_restart_callback", "buffer_offline_messages", "remove_restart_callback", "stop_buffering")


class _Row:
    """Messages in order, and how many bytes they are."""

    def __init__(self) -> None:
        self.messages: collections.deque[tuple[Any, bool]] = collections.deque()
        self.size = 0

    def append(self, each: tuple[Any, bool]) -> None:
        self.messages.append(each)
        self.size += len(each[0])

    def popleft(self) -> tuple[Any, bool]:
        each = self.messages.popleft()
        self.size -= len(each[0])
        return each


class Outbox:
    """What a kernel told one page, from the oldest that the page may not have; numbered as the page counts.

    ``say`` writes into Jupyter's log. A socket has ``write(message, binary)`` and ``ping(payload)``.
    """

    def __init__(self, say: Callable[..., object], *, limit_bytes: int = LIMIT_BYTES, limit_count: int = LIMIT_COUNT,
                 tail_bytes: int = TAIL_BYTES) -> None:
        self._say = say
        self._limits = (limit_bytes, limit_count)
        self._tail_bytes = tail_bytes
        self._confirmed, self._open = _Row(), _Row()
        self._first = 0
        self._written = 0
        self._lost = 0
        """Of those before the oldest, how many the page may not have got."""
        self._socket: Any = None
        self._asked = self._complained = False

    @property
    def size(self) -> int:
        """The bytes that are kept."""
        return self._confirmed.size + self._open.size

    def put(self, message: Any, binary: bool = False) -> None:
        """Tell the page, now or when it is back."""
        self._open.append((message, binary))
        if self._socket is not None:
            self._written = self._next
            self._socket.write(message, binary)
            self._ask()
        self._limit()

    def attach(self, socket: Any, seen: int | None) -> None:
        """The page is there, and has got ``seen`` messages: give it the others, before anything new.

        One that says less than it has confirmed is a connection of before that comes late.
        """
        begin = max(self._written if seen is None else seen, self._first - self._lost)
        if begin < self._first:
            self._say("%d messages of the kernel are lost to the page: too many came while it was cut off",
                      self._first - begin)
        kept = [*self._confirmed.messages, *self._open.messages][max(0, begin - self._first):]
        self._confirmed, self._open = _Row(), _Row()
        self._first, self._lost, self._socket, self._asked, self._complained = begin, 0, socket, False, False
        for message, binary in kept:
            self.put(message, binary)
        self._written = self._next

    def detach(self) -> None:
        """The page is gone, as far as is known here."""
        self._socket = None

    def pong(self, socket: Any, payload: bytes) -> None:
        """The browser has got everything that was written before that ping."""
        told = _PING.fullmatch(payload)
        if told is None or socket is not self._socket:
            return
        while self._open.messages and self._first + len(self._confirmed.messages) < int(told.group(1)):
            self._confirmed.append(self._open.popleft())
        while self._confirmed.messages and self._without_oldest >= self._tail_bytes:
            self._drop(self._confirmed)
            self._lost = 0
        self._asked = False
        if self._open.messages:
            self._ask()

    @property
    def _next(self) -> int:
        return self._first + len(self._confirmed.messages) + len(self._open.messages)

    @property
    def _without_oldest(self) -> int:
        return self._confirmed.size - len(self._confirmed.messages[0][0])

    def _ask(self) -> None:
        """One ping at a time: the slower the line, the fewer."""
        if not self._asked:
            self._asked = True
            self._socket.ping(b"hpc-jupyter %d" % self._next)

    def _drop(self, row: _Row) -> None:
        row.popleft()
        self._first += 1

    def _limit(self) -> None:
        most_bytes, most = self._limits
        while self.size > most_bytes or self._next - self._first > most:
            if not self._confirmed.messages and not self._complained:
                self._complained = True
                self._say("%d bytes of a kernel's messages wait for a page: the oldest are kept no longer", self.size)
            self._drop(self._confirmed if self._confirmed.messages else self._open)
            self._lost += 1


def _nothing() -> None:
    """There is nothing to be undone."""


class Line:
    """One page's way to one kernel, over one connection after the other."""

    def __init__(self, kernel_id: str, outbox: Outbox, protocol: str | None) -> None:
        self.kernel_id = kernel_id
        self.outbox = outbox
        self.protocol = protocol
        self.owner: Any = None
        self.ready = False
        """Whether its channels are the kernel's for certain, so that another connection can go on with them."""
        self.channels: dict[str, Any] = {}
        """Those of a page that is cut off; they go on filling the outbox."""
        self.kernel: tuple[Any, Any] = (None, None)
        """The ports that its channels were made for, and the process that was behind them."""
        self.left_at = 0.0
        """When it was cut off; 0 while it is there."""
        self.closed = False
        """Whether the page took leave, and was not just cut off."""
        self.stop_listening: Callable[[], None] = _nothing
        """Ends what tells a page that is cut off of its kernel's restarts."""

    def come_back(self) -> None:
        """The page is there again, and hears by itself."""
        self.left_at, self.closed = 0.0, False
        self.stop_listening()
        self.stop_listening = _nothing

    def close(self) -> None:
        """Forget what was kept."""
        self.stop_listening()
        close_channels(self.channels)
        self.channels = {}


class Lines:
    """All of a server's lines, by kernel and the page's session."""

    def __init__(self, say: Callable[..., object]) -> None:
        self._say = say
        self._lines: dict[str, Line] = {}
        self.watched = False

    def take(self, key: str, *, kernel_id: str, protocol: str | None) -> Line:
        """The line that a page comes back to, or a new one."""
        line = self._lines.get(key)
        if line is not None and line.owner is not None:
            line.owner.disconnect()  # Jupyter has not noticed yet that it is dead
            line = self._lines.get(key)
        if line is not None and line.protocol != protocol:
            self._forget(key)
            line = None
        if line is None:
            line = self._lines[key] = Line(kernel_id, Outbox(self._say), protocol)
        line.come_back()
        return line

    def leave(self, key: str, channels: dict[str, Any], *, keep: bool, closed: bool = False) -> None:
        """The page is cut off, or gone for good; it may be that, too, if it was ``closed``."""
        line = self._lines[key]
        line.owner, line.channels, line.left_at, line.closed = None, channels, time.monotonic(), closed
        line.outbox.detach()
        if not keep:
            self._forget(key)
        for oldest in self._left(line.kernel_id)[:-MOST_LEFT]:
            self._forget(oldest)

    def look(self, kernels: Any) -> bool:
        """Forget pages of kernels that are gone, closed ones, and what is too much; whether any is still cut off."""
        closed_before = time.monotonic() - CLOSED_SECONDS
        for key, line in [(key, self._lines[key]) for key in self._left()]:
            if line.kernel_id not in kernels or (line.closed and line.left_at <= closed_before):
                self._forget(key)
        self._limit()
        return any(line.left_at for line in self._lines.values())

    def close(self) -> None:
        """Forget everything."""
        for key in list(self._lines):
            self._forget(key)

    def _limit(self) -> None:
        sizes = {key: self._lines[key].outbox.size for key in self._left()}
        for key, size in list(sizes.items()):
            if size and sum(sizes.values()) > LEFT_BYTES:
                self._say("%d bytes of kernels' messages wait for pages that are cut off: the %d of the one that is "
                          "gone longest are kept no longer", sum(sizes.values()), sizes.pop(key))
                self._forget(key)

    def _left(self, kernel_id: str = "") -> list[str]:
        """The lines whose pages are cut off, oldest first; of one kernel, or of all."""
        left = {key: line for key, line in self._lines.items() if line.left_at and kernel_id in ("", line.kernel_id)}
        return sorted(left, key=lambda key: left[key].left_at)

    def _forget(self, key: str) -> None:
        self._lines.pop(key).close()


def close_channels(channels: dict[str, Any]) -> None:
    """Close a kernel's channels that nobody reads any more."""
    for stream in channels.values():
        if not stream.closed():
            stream.on_recv(None)
            stream.close()


def number(text: str) -> int | None:
    """How many messages a page says that it has got; ``None`` where it says nothing, or no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


class Socket:
    """A page's websocket: writing to one that is closed is no error, and its pongs are told to the outbox."""

    def __init__(self, handler: Any, outbox: Outbox, closed: type[Exception]) -> None:
        self._handler = handler
        self._closed = closed
        before = handler.on_pong

        def on_pong(data: bytes) -> None:
            before(data)
            outbox.pong(self, data)

        handler.on_pong = on_pong
        self.closed = False
        """Whether the page itself has closed it: afterwards Tornado no longer tells that from a cut."""
        wire = getattr(handler, "ws_connection", None)
        if hasattr(wire, "client_terminated") and hasattr(wire, "server_terminated"):
            self._note_leave(wire)

    def _note_leave(self, wire: Any) -> None:
        close = wire.close

        def on_end(*words: Any, **others: Any) -> None:
            self.closed = self.closed or (wire.client_terminated and not wire.server_terminated)
            close(*words, **others)

        wire.close = on_end

    def write(self, message: Any, binary: bool) -> None:
        """Send a message, and do not wait."""
        try:
            sent = self._handler.write_message(message, binary=binary)
        except self._closed:
            return
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())

    def ping(self, payload: bytes) -> None:
        """Ask whether everything before has come."""
        try:
            self._handler.ping(payload)
        except (self._closed, OSError):
            return


def unfit(connection: Any, manager: Any) -> str:
    """What this Jupyter lacks of what is built upon; empty if it lacks nothing."""
    lacks = [name for name in _NEEDED if not hasattr(connection, name)]
    lacks += [name for name in _NEEDED_OF_MANAGER if not hasattr(manager, name)]
    plain = ("connect", "disconnect", "create_stream", "nudge")
    lacks += [f"plain {name}" for name in plain if inspect.iscoroutinefunction(getattr(connection, name, None))]
    return ", ".join(lacks)


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter Server; what is raised here it logs, and goes on."""
    channels: Any = importlib.import_module("jupyter_server.services.kernels.connection.channels")
    usual = channels.ZMQChannelsWebsocketConnection
    lacking = unfit(usual, server.kernel_manager)
    if server.kernel_websocket_connection_class is not usual or lacking:
        server.log.warning("what is under way in a cut may be lost to the page: %s",
                           f"Jupyter lacks {lacking}" if lacking else "another kind of connection is configured")
        return
    ours = connection(usual, Lines(server.log.warning))
    server.kernel_websocket_connection_class = ours
    server.web_app.settings["kernel_websocket_connection_class"] = ours


def connection(usual: Any, lines: Lines) -> Any:
    """The class of connections that go through those lines and are ``usual`` otherwise."""
    known = {
        "_lines": lines,
        "_closed": importlib.import_module("tornado.websocket").WebSocketClosedError,
        "_loop": importlib.import_module("tornado.ioloop").IOLoop.current,
        "_future": importlib.import_module("asyncio").Future,
    }
    return type(usual)("Connection", (_Kept, usual), known)


def _process(manager: Any) -> Any:
    """That of a kernel, where it is one of this machine."""
    return getattr(getattr(manager, "provisioner", None), "pid", None)


_Usual: Any = object


class _Kept(_Usual):  # type: ignore[misc]
    """One websocket of a page; what it writes goes through the outbox, which outlives it."""

    _lines: Lines
    _closed: Any
    _loop: Any
    _future: Any
    _line: Any = None
    _socket: Any = None
    _protocol: str | None = None
    _resumed = _gone = False

    @property
    def write_message(self) -> Any:
        """Where Jupyter writes what comes from the kernel."""
        return super().write_message if self._line is None else self._line.outbox.put

    @property
    def subprotocol(self) -> Any:
        """Also once the websocket is gone, which alone knows it."""
        return super().subprotocol if self._line is None else self._protocol

    def connect(self) -> Any:
        """Give the page what it has not got, then what comes."""
        self._protocol = super().subprotocol
        line = self._lines.take(self.session_key, kernel_id=self.kernel_id, protocol=self._protocol)
        line.owner, self._line = self, line
        self._socket = Socket(self.websocket_handler, line.outbox, self._closed)
        if self.kernel_id in self.multi_kernel_manager:
            # Jupyter's own buffer: empty, since what it would hold goes on into the outbox.
            self.multi_kernel_manager.stop_buffering(self.kernel_id)
        seen = number(self.websocket_handler.get_query_argument(SEEN, ""))
        line.outbox.attach(self._socket, seen)
        connected = super().connect()
        if connected is not None:
            connected.add_done_callback(self._is_ready)
        return connected

    def _is_ready(self, connected: Any) -> None:
        if not self._gone:
            self._line.ready = not connected.cancelled() and connected.exception() is None

    def create_stream(self) -> None:
        """Go on with the channels of the connection before: they have missed nothing."""
        line, manager = self._line, self.kernel_manager
        kept, line.channels = line.channels, {}
        (ports, process), line.kernel = line.kernel, (list(manager.ports), _process(manager))
        whole = bool(kept) and ports == line.kernel[0] and not any(stream.closed() for stream in kept.values())
        line.ready = self._resumed = whole and process == line.kernel[1]
        if whole:
            self.channels = kept
        else:
            close_channels(kept)
            super().create_stream()

    def nudge(self) -> Any:
        """Channels that are in use need none, and it would take a message of theirs; a new process is awaited."""
        if not self._resumed:
            return super().nudge()
        done = self._future()
        done.set_result(None)
        return done

    def disconnect(self) -> None:
        """Called by whoever notices first: a new connection of the same page, or the end of this one."""
        if self._line is None:
            super().disconnect()
        elif not self._gone:
            self._gone = True
            channels, self.channels = self.channels or self._line.channels, {}
            try:
                super().disconnect()
            finally:
                keep = self._may_come_back()
                if keep:
                    self._listen()
                self._lines.leave(self.session_key, channels, keep=keep, closed=self._socket.closed)
                if not self._lines.watched:
                    self._watch(self.multi_kernel_manager)

    def _listen(self) -> None:
        """So that the page is told, too, that its kernel was restarted meanwhile."""
        manager, kernel_id = self.multi_kernel_manager, self.kernel_id
        heard = ((self.on_kernel_restarted, "restart"), (self.on_restart_failed, "dead"))

        def stop() -> None:
            for callback, event in heard if kernel_id in manager else ():
                manager.remove_restart_callback(kernel_id, callback, event)

        self._line.stop_listening = stop
        for callback, event in heard:
            manager.add_restart_callback(kernel_id, callback, event)

    def _may_come_back(self) -> bool:
        manager, handler = self.multi_kernel_manager, self.websocket_handler
        known = self._line.ready and handler.get_query_argument("session_id", "")
        here = self.kernel_id in manager and manager.buffer_offline_messages
        return bool(known and here and handler.close_code != _LEFT_PAGE)

    def _watch(self, manager: Any) -> None:
        """Look now and then whether a kernel has ended for which output is kept."""
        self._lines.watched = self._lines.look(manager)
        if self._lines.watched:
            self._loop().call_later(_LOOK_SECONDS, self._watch, manager)

    @classmethod
    async def close_all(cls) -> None:
        """Called at the server's end."""
        await super().close_all()
        cls._lines.close()

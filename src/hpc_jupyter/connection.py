"""From a ready session to a proven local address: choose the port, make the forward, remember it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import page_of
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import explain
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import first_port
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import record_node_keys

from hpc_jupyter import forward, listener
from hpc_jupyter import route as routes
from hpc_jupyter.access import Access, Attached
from hpc_jupyter.errors import NoForward, NoSession, Waiting
from hpc_jupyter.forward import Forward, PortTaken, SshFailed
from hpc_jupyter.processes import NOBODY, Process, this_process
from hpc_jupyter.progress import Progress
from hpc_jupyter.results import Hints
from hpc_jupyter.route import Route
from hpc_jupyter.state import Held, Store

_PORTS_TRIED = 50
_BETWEEN_PROBES_SECONDS = 1.0


@dataclass(frozen=True)
class Link:
    """A session that answers at ``route.url``; ``forward`` is set where this process holds the connection.

    ``holder`` is the process that holds it, with id 0 where the session needs none.
    """

    attached: Attached
    route: Route
    holder: Process = NOBODY
    forward: Forward | None = None

    @property
    def record(self) -> Record:
        """The session's record."""
        return self.attached.record

    @property
    def address(self) -> str:
        """The interface's address on this machine, without the token."""
        return f"{self.route.url}{page_of(asdict(self.record))}"

    @property
    def url(self) -> str:
        """The interface's address on this machine, with the token."""
        return f"{self.address}?token={self.attached.token}"


@dataclass(frozen=True)
class Connector:
    """Connects this machine to one session of one account; ``hints`` are for its messages."""

    access: Access
    session: str
    progress: Progress
    hints: Hints

    @property
    def account(self) -> str:
        """The account's name."""
        return self.access.cluster.account

    @property
    def store(self) -> Store:
        """What this machine remembers of the account."""
        return Store(self.account)

    def attach(self) -> Attached:
        """The session's record and token; raises ``NoSession`` or ``Waiting`` unless it can be connected to."""
        attached = self.access.attach(self.session)
        check_ready(attached.record, self.hints)
        return attached

    def connect(self, attached: Attached, *, port: int = 0) -> Link:
        """Connect, or join the connection that another process holds; one at a time."""
        if routes.choose(self.access.cluster) == "local":
            return self._on_this_machine(attached)
        with self.store.lock(self.session):
            return self.join(attached, port=port) or self._connect(attached, port=port)

    @contextlib.contextmanager
    def believing_the_scheduler(self) -> Iterator[None]:
        """A record may say ``ready`` of a session that is gone: when it does not answer, the scheduler is asked.

        Raises ``NoSession`` in place of ``NoForward`` if the session is over.
        """
        try:
            yield
        except NoForward:
            seen = self.access.observe(self.session)
            if seen.get("state") == rec.ENDED:
                raise NoSession(f"{describe(seen)}. Start a new one: {self.hints.command('launch')}") from None
            raise

    def reconnect(self, attached: Attached, *, port: int) -> Link:
        """Connect again from the process that held the connection, on the port that open tabs know if it is free."""
        return self._connect(attached, port=0 if not forward.is_free(port) else port)

    def join(self, attached: Attached, *, port: int = 0) -> Link | None:
        """The connection that another process holds, if it works and is on ``port`` if that matters.

        One that is dead ends; one that works on another port goes on until there is a new one. Raises ``NoForward``
        if that other port is taken.
        """
        held = self.store.read(self.session)
        others = held.holder.is_alive and held.holder != this_process() and held.ssh.is_alive
        if others and self._answers(attached, held.port):
            if port in (0, held.port):
                return Link(attached, self.route(attached, held.port), holder=held.holder)
            if not forward.is_free(port):
                raise _taken(port)
            return None
        self.store.end(self.session)
        return None

    def _answers(self, attached: Attached, port: int) -> bool:
        """Whether a held connection works; one answer that is late does not prove that it is dead."""
        url = self.route(attached, port).url
        if forward.ask(url, attached.token).ok:
            return True
        time.sleep(_BETWEEN_PROBES_SECONDS)
        return forward.ask(url, attached.token).ok

    def _on_this_machine(self, attached: Attached) -> Link:
        way = self.route(attached, 0)
        self._check_listener(attached.record)
        answer = forward.ask(way.url, attached.token)
        if not answer.ok:
            raise NoForward(f"{self.account}: {answer.reason}. See: {self.hints.command('logs')}")
        self.store.write(self.session, Held(port=way.port))
        return Link(attached, way)

    def _check_listener(self, record: Record) -> None:
        """The token is shown to this user's own listener on this very machine, to nobody else."""
        if listener.short(record.node) != listener.short_name():
            raise NoForward(
                f"{self.account}: session {self.session} runs on {record.node}, and this machine is "
                f"{listener.short_name()}. Connect there, or end it: {self.hints.command('stop')}"
            )
        if not listener.is_ours(record.port):
            raise NoForward(
                f"{self.account}: nothing of yours listens on 127.0.0.1:{record.port}, so the session's token was "
                f"not sent there. See: {self.hints.command('logs')}"
            )

    def _connect(self, attached: Attached, *, port: int) -> Link:
        record = attached.record
        if not record.host_keys:
            raise NoForward(f"{self.account}: the session's record has no host keys of {record.node}. Launch it again")
        wanted = port or self.store.read(self.session).port or first_port(self.account, self.session)
        self.route(attached, wanted)
        record_node_keys(self.access.files.directory, record.node, record.host_keys)
        self.progress.now(f"Connecting to {record.node}")
        link = self._on_some_port(attached, fixed=port, wanted=wanted)
        self.store.end(self.session)
        ssh = link.forward.process if link.forward else NOBODY
        self.store.write(self.session, Held(port=link.route.port, holder=link.holder, ssh=ssh))
        return link

    def _on_some_port(self, attached: Attached, *, fixed: int, wanted: int) -> Link:
        for candidate in range(wanted, wanted + (1 if fixed else _PORTS_TRIED)):
            way = self.route(attached, candidate)
            try:
                held = self._open(way, attached)
            except PortTaken:
                if not fixed:
                    self.progress.say(f"Port {candidate} of this machine is taken; trying the next")
                continue
            return Link(attached, way, holder=this_process(), forward=held)
        raise _taken(wanted, last=wanted + (0 if fixed else _PORTS_TRIED - 1))

    def _open(self, way: Route, attached: Attached) -> Forward:
        if not forward.is_free(way.port):
            raise PortTaken(str(way.port))
        try:
            return forward.open_forward(way, token=attached.token)
        except SshFailed as error:
            node = attached.record.node
            raise NoForward(explain(error.stderr, self.access.cluster, node=node)) from error

    def route(self, attached: Attached, port: int) -> Route:
        """The way to the session from ``port``."""
        return routes.plan(attached.record, self.access.cluster, config=self.access.files.config, port=port)


def _taken(port: int, *, last: int = 0) -> NoForward:
    ports = f"port {port} to {last}" if last > port else f"port {port}"
    return NoForward(f"{ports} of this machine is taken by another program. Choose one with --port")


def check_ready(record: Record, hints: Hints) -> None:
    """Raise unless ``record`` is of a session that one can connect to, or try to while the scheduler is silent."""
    if record.state == rec.READY or (
        record.state == rec.UNKNOWN and record.base_url and (record.socket or record.port)
    ):
        return
    where = describe(vars(record))
    if record.state == rec.ENDED:
        raise NoSession(f"{where}. Start a new one: {hints.command('launch')}")
    raise Waiting(f"{record.account}: {where}. Watch it: {hints.command('launch')}")

"""From a ready session to a proven local address: choose the port, make the forward, remember it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import REFUSALS, TURNED_AWAY, cause, explain
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import NOBODY, Process, this_process
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import OFFERS, first_port, is_on_login_host, offer_of
from ansible_collections.hpc.jupyter.plugins.plugin_utils.trust import trust

from hpc_jupyter import forward, listener, probe
from hpc_jupyter import route as routes
from hpc_jupyter.access import Access, Attached
from hpc_jupyter.errors import NoForward, NoSession, Unreachable, Waiting
from hpc_jupyter.forward import Forward, PortTaken, SshFailed
from hpc_jupyter.ports import Wanted, check_ports, chosen_ports
from hpc_jupyter.progress import Progress
from hpc_jupyter.results import Hints
from hpc_jupyter.route import Route, candidates
from hpc_jupyter.state import Held, Store

_PORTS_TRIED = 50
_TO_COME = (rec.INTENDED, rec.SUBMITTED, rec.QUEUED, rec.STARTING)
_BETWEEN_PROBES_SECONDS = 1.0
_ATTACH_SECONDS = 60.0
_HURRIED_SECONDS = 25.0
"""How long a route may take to open while there are others to try."""


@dataclass(frozen=True)
class Tried:
    """A route: ``problem`` is why it does not work or was not tried, empty if it works; ``cause`` is as of failures."""

    name: str
    problem: str = ""
    cause: str = ""


class NoRoute(NoForward):
    """None of several routes works; the first that was ``tried`` says whether trying again is any good."""

    def __init__(self, message: str, tried: Sequence[Tried]) -> None:
        self.refused = {item.name for item in tried if item.cause in REFUSALS}
        away = next((item.cause for item in tried if item.cause == TURNED_AWAY), "")
        super().__init__(message, cause=tried[0].cause if tried[0].name in self.refused else away)


@dataclass(frozen=True)
class Link:
    """A session that answers at ``route.url``; ``forward`` is set where this process holds the connection.

    ``holder`` is the process that holds it, with id 0 where the session needs none. ``tried`` are the routes that there
    are, as far as they were looked at, and ``why`` this one was taken.
    """

    attached: Attached
    route: Route
    holder: Process = NOBODY
    forward: Forward | None = None
    tried: tuple[Tried, ...] = ()
    why: str = ""

    @property
    def record(self) -> Record:
        """The session's record."""
        return self.attached.record

    @property
    def address(self) -> str:
        """The interface's address on this machine, without the token."""
        return self.route.page

    @property
    def url(self) -> str:
        """The interface's address on this machine, with the token."""
        return f"{self.address}?token={self.attached.token}"


@dataclass(frozen=True)
class Connector:
    """Connects this machine to one session of one account; ``hints`` are for its messages.

    ``begun`` is a forward of ours that is taken where it is the very one that is needed.
    """

    access: Access
    session: str
    progress: Progress
    hints: Hints
    begun: Forward | None = None

    @property
    def account(self) -> str:
        """The account's name."""
        return self.access.cluster.account

    @property
    def store(self) -> Store:
        """What this machine remembers of the account."""
        return Store(self.account)

    def attach(self, *, seconds: float = _ATTACH_SECONDS) -> Attached:
        """The session's record and token; raises ``NoSession`` or ``Waiting`` unless it can be connected to."""
        return self.checked(self.access.attach(self.session, seconds=seconds))

    def checked(self, attached: Attached) -> Attached:
        """``attached``, if one can connect to it; raises ``NoSession`` or ``Waiting``."""
        check_ready(attached.record, self.hints)
        return attached

    def connect(self, attached: Attached, *, port: int = 0, ports: Sequence[tuple[int, int]] = ()) -> Link:
        """Connect, or join the connection that another process holds; one at a time."""
        if self.access.cluster.local:
            return self._on_this_machine(attached)
        wanted = Wanted(port, tuple(ports))
        with self.store.lock(self.session):
            if self.begun is not None:
                self.store.release(self.session)
            return self.join(attached, wanted) or self._connect(attached, wanted)

    @contextlib.contextmanager
    def believing_the_scheduler(self) -> Iterator[None]:
        """A record may say ``ready`` of a session that is gone: when it does not answer, the scheduler is asked.

        Raises ``NoSession`` in place of ``NoForward`` if the session is over for good, ``Waiting`` if its job waits
        again.
        """
        try:
            yield
        except NoForward:
            seen = self.access.observe(self.session)
            if seen.get("state") == rec.ENDED and not seen.get("may_go_on"):
                raise NoSession(f"{describe(seen)}. Start a new one: {self.hints.command('launch')}") from None
            if seen.get("state") in _TO_COME:
                raise self._waiting(seen) from None
            raise

    def _waiting(self, seen: Mapping[str, Any]) -> Waiting:
        return Waiting(f"{self.account}: {describe(seen)}. Watch it: {self.hints.command('launch')}")

    def reconnect(
        self, attached: Attached, link: Link, *, without: Container[str] = (), seconds: float = forward.LOGIN_SECONDS
    ) -> Link:
        """Connect again from the process that held ``link``, on the port that open tabs know if it is free.

        A session with work in it is not asked to change how it is offered, except to what it was before. Other routes
        than before are not tried if they are in ``without``. The last one that there is may take ``seconds`` to open.
        """
        before = link.route
        port = before.port if forward.is_free(before.port) else 0
        names = candidates(attached.record, self.access.cluster, remembered=before.name)
        offered = offer_of(asdict(attached.record))
        fit = [name for name in names if OFFERS[name] == offered and name not in without]
        keeping = [name for name in names if name == before.name or name in fit]
        if not keeping:
            raise NoForward(
                f"{self.account}: session {self.session} is offered for no route that may be tried again. "
                f"Connect anew, which may offer it for another: {self.hints.command('launch')}"
            )
        return self._connect(attached, Wanted(port, before.ports), names=keeping, seconds=seconds)

    def join(self, attached: Attached, wanted: Wanted) -> Link | None:
        """The connection that another process holds, if it works and is on the wanted ports.

        One that is dead ends; one that works on another port goes on until there is a new one. Raises ``NoForward``
        if that other port is taken.
        """
        held = self.store.read(self.session)
        if not held.is_up or held.holder == this_process() or not self._answers(attached, held):
            self.store.end(self.session)
            return None
        if wanted.port not in (0, held.port):
            if not forward.is_free(wanted.port):
                raise _taken(wanted.port)
            return None
        if not wanted.has(held.ports):
            self.store.end(self.session)
            return None
        return self.held_link(attached, held)

    def held_link(self, attached: Attached, held: Held) -> Link:
        """The connection that another process holds, with what that process found out."""
        tried = tuple(Tried(name, problem) for name, problem in held.tried)
        return Link(attached, self.held_route(attached, held), holder=held.holder, tried=tried, why=held.why)

    def held_route(self, attached: Attached, held: Held) -> Route:
        """The route that a process holds."""
        fits = OFFERS.get(held.route) == offer_of(asdict(attached.record))
        return self.route(attached, held.port, name=held.route if fits else "", ports=held.ports)

    def _answers(self, attached: Attached, held: Held) -> bool:
        """Whether a held connection works; one answer that is late does not prove that it is dead."""
        route = self.held_route(attached, held)
        if not listener.is_ours(route.port):
            return False
        if forward.ask(route.url, attached.token, sha256=route.sha256).ok:
            return True
        time.sleep(_BETWEEN_PROBES_SECONDS)
        return forward.ask(route.url, attached.token, sha256=route.sha256).ok

    def _on_this_machine(self, attached: Attached) -> Link:
        way = self.route(attached, 0)
        self._check_listener(attached.record)
        answer = forward.ask(way.url, attached.token, sha256=way.sha256)
        if not answer.ok:
            raise NoForward(f"{self.account}: {answer.reason}. See: {self.hints.command('logs')}")
        self.store.write(self.session, Held(port=way.port))
        return Link(attached, way, why="the session runs on this machine")

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

    def _connect(
        self, attached: Attached, wanted: Wanted, *, names: Sequence[str] | None = None,
        seconds: float = forward.LOGIN_SECONDS,
    ) -> Link:
        """By the first route that works, of those ``names`` or of all."""
        remembered = self.store.route()
        every = candidates(attached.record, self.access.cluster, remembered=remembered)
        left = every if names is None else list(names)
        tried: list[Tried] = []
        while left:
            name = left.pop(0)
            try:
                link = self._by(name, attached, wanted, patience=min(seconds, _HURRIED_SECONDS) if left else seconds)
            except PortTaken:
                raise
            except NoForward as error:
                tried.append(Tried(name, self._without_name(error), error.cause))
                if not left and len(tried) == 1:
                    raise
                if left and OFFERS[name] != offer_of(asdict(attached.record)):
                    attached = self.access.attach(self.session)  # it may be offered that way now, and no other
                continue
            why = self._why(name, attached, remembered, tried)
            later = [Tried(other, f"not tried, as {name} works") for other in left]
            try:
                return self._keep(replace(link, tried=(*tried, Tried(name), *later), why=why))
            except BaseException:  # nobody would know of it
                if link.forward is not None:
                    link.forward.close()
                raise
        problems = "; ".join(f"{item.name}: {item.problem}" for item in tried)
        raise NoRoute(f"{self.account}: no route works. {problems}", tried)

    def _by(self, name: str, attached: Attached, wanted: Wanted, *, patience: float) -> Link:
        """By this route."""
        check_ports(name, attached.record, wanted)
        offered = self._offered(name, attached)
        record = offered.record
        self._check_keys(name, offered)
        self.route(offered, wanted.port or 1, name=name)
        trust(self.access.cluster, self.access.files, asdict(record), permits=[there for _here, there in wanted.ports])
        self.progress.now(f"Connecting to {record.node}" + (f" by {name}" if self._is_auto else ""))
        return self._on_some_port(name, offered, wanted, patience=patience)

    @property
    def _is_auto(self) -> bool:
        return self.access.cluster.route == "auto"

    def _why(self, name: str, attached: Attached, remembered: str, tried: Sequence[Tried]) -> str:
        if not self._is_auto:
            return "hpc_route says so"
        if OFFERS[name] == offer_of(asdict(attached.record)) != "socket":
            return "the session is offered that way already"
        return "it worked last time" if name == remembered and not tried else "it is the first that works"

    def _offered(self, name: str, attached: Attached) -> Attached:
        """The session, offered as the route needs it."""
        if offer_of(asdict(attached.record)) == OFFERS[name]:
            return attached
        seen = self.access.observe(self.session)
        if seen.get("state") == rec.ENDED:
            raise NoSession(f"{describe(seen)}. Start a new one: {self.hints.command('launch')}")
        self.progress.now(f"Asking session {self.session} to offer itself for route {name}")
        try:
            offered = self.access.offer(self.session, OFFERS[name])
        except (NoSession, Unreachable, Busy):
            raise
        except HpcJupyterError as error:
            raise NoForward(str(error)) from error
        if offer_of(asdict(offered.record)) != OFFERS[name]:
            raise NoForward(f"{self.account}: session {self.session} did not change how it is offered")
        return offered

    def _without_name(self, error: NoForward) -> str:
        return str(error).removeprefix(f"{self.account}: ").removeprefix(f"{self.access.cluster.name}: ")

    def _check_keys(self, name: str, offered: Attached) -> None:
        """Before anything is contacted: whom would ssh believe?"""
        record = offered.record
        elsewhere = offered.host and record.login_host and offered.host != record.login_host
        if is_on_login_host(asdict(record), name) and elsewhere and not record.login_host_keys:
            raise NoForward(
                f"{self.account}: the session is reached from {record.login_host} alone, {offered.host} has answered, "
                f"and the record has no host keys of {record.login_host}. Try again, or stop it and launch it again"
            )
        if name == "node" and record.scheduler != "none" and not record.host_keys:
            raise NoForward(f"{self.account}: the session's record has no host keys of {record.node}. Launch it again")
        if name == "step" and not record.step_host_key:
            raise NoForward(
                f"{self.account}: the session's record has no host key for route step; its node may have no sshd "
                "program, or its scheduler starts no steps"
            )

    def _keep(self, link: Link) -> Link:
        if self._is_auto:
            self.store.remember_route(link.route.name)
        self.store.end(self.session)
        held = Held(
            port=link.route.port,
            holder=link.holder,
            ssh=link.forward.process if link.forward else NOBODY,
            route=link.route.name,
            rides=link.route.rides,
            master=link.forward.master if link.forward else NOBODY,
            ports=link.route.ports,
            tried=tuple((item.name, item.problem) for item in link.tried),
            why=link.why,
        )
        self.store.write(self.session, held)
        return link

    def begin(self, attached: Attached, wanted: Wanted) -> Forward | None:
        """The forward to a session that still starts, by the route that is tried first: nobody has waited for it yet.

        ``None`` where there is nothing to gain by it, or too little to go by.
        """
        record = asdict(attached.record)
        name = candidates(attached.record, self.access.cluster, remembered=self.store.route())[0]
        if self.access.cluster.local or wanted.ports or not record["socket"] or OFFERS[name] != offer_of(record):
            return None
        self._check_keys(name, attached)
        ways = (self.route(attached, port, name=name) for port in self._ports(wanted) if forward.is_free(port))
        way = next(ways, None)
        if way is None or not way.argv:
            return None
        trust(self.access.cluster, self.access.files, record)
        begun = forward.begin(way)
        if not self.store.is_held(self.session):  # whoever is killed leaves it to the next
            known = self.store.read(self.session)
            self.store.write(self.session, replace(known, ssh=begun.process, holder=NOBODY))
        probe.load()
        return begun

    def _ports(self, wanted: Wanted) -> range:
        """The ports to try."""
        first = wanted.port or self.store.read(self.session).port or first_port(self.account, self.session)
        return range(first, first + (1 if wanted.port else _PORTS_TRIED))

    def _on_some_port(self, name: str, attached: Attached, wanted: Wanted, *, patience: float) -> Link:
        ports = self._ports(wanted)
        for candidate in ports:
            way = self.route(attached, candidate, name=name, ports=chosen_ports(wanted.ports, taken=candidate))
            try:
                held = self._open(way, attached, patience=patience)
            except PortTaken:
                if not wanted.port:
                    self.progress.say(f"Port {candidate} of this machine is taken; trying the next")
                continue
            return Link(attached, way, holder=this_process(), forward=held)
        raise _taken(ports[0], last=ports[-1])

    def _open(self, way: Route, attached: Attached, *, patience: float) -> Forward:
        begun = self._begun_as(way)
        if begun is None and not forward.is_free(way.port):
            raise PortTaken(str(way.port))
        try:
            begun = begun or forward.begin(way, master=self.access.files.control)
            return forward.proven(begun, token=attached.token, seconds=patience)
        except SshFailed as error:
            why = self._explained(error.stderr, way, attached.record)
            raise NoForward(why, cause=cause(error.stderr)) from error

    def _begun_as(self, way: Route) -> Forward | None:
        """What was begun, if it leads this way and lives; its port is free again if not."""
        begun = self.begun
        if begun is None or not begun.is_alive:
            return None
        if begun.route.argv != way.argv:
            begun.close()
            return None
        begun.route = way
        return begun

    def _explained(self, stderr: str, way: Route, record: Record) -> str:
        if is_on_login_host(asdict(record), way.name):
            return explain(stderr, self.access.cluster, login_host=record.login_host)
        return explain(stderr, self.access.cluster, node=record.node)

    def route(
        self, attached: Attached, port: int, *, name: str = "", ports: Sequence[tuple[int, int]] = ()
    ) -> Route:
        """The way to the session from ``port``."""
        return routes.plan(
            attached.record,
            self.access.cluster,
            config=self.access.files.config,
            port=port,
            name=name,
            host=attached.host,
            ports=ports,
        )


def _taken(port: int, *, last: int = 0) -> PortTaken:
    ports = f"port {port} to {last}" if last > port else f"port {port}"
    return PortTaken(f"{ports} of this machine is taken by another program. Choose one with --port")


def check_ready(record: Record, hints: Hints) -> None:
    """Raise unless ``record`` is of a session that one can connect to, or try to while the scheduler is silent."""
    place = record.socket or record.port or record.login_socket or record.login_port
    if record.state == rec.READY or (record.state == rec.UNKNOWN and record.base_url and place):
        return
    where = describe(vars(record))
    if record.state == rec.ENDED:
        raise NoSession(f"{where}. Start a new one: {hints.command('launch')}")
    raise Waiting(f"{record.account}: {where}. Watch it: {hints.command('launch')}")

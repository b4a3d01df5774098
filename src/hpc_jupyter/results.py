"""What commands return: frozen, free of surprises, each rendered as text or as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import INTERFACES, LAB
from ansible_collections.hpc.jupyter.plugins.module_utils.job_log import SUPERVISOR
from ansible_collections.hpc.jupyter.plugins.module_utils.words import check_line, leftover_line, line, time_left
from ansible_collections.hpc.jupyter.plugins.plugin_utils.summary import columns

from hpc_jupyter.errors import exit_code
from hpc_jupyter.exits import Exit


@dataclass(frozen=True)
class Hints:
    """The commands a person may want next, with the options that lead to the same inventory and session."""

    inventory: Sequence[str]
    account: str
    session: str = "default"

    def command(self, verb: str) -> str:
        """``hpc-jupyter VERB ACCOUNT`` as it is to be typed."""
        import shlex

        sources = [word for source in self.inventory for word in ("-i", source)]
        session = [] if self.session == "default" else ["--session", self.session]
        return shlex.join(["hpc-jupyter", *sources, verb, *([self.account] if self.account else []), *session])


@dataclass(frozen=True)
class Connected:
    """A session that was reached; ``url`` lets whoever has it in. ``pid`` holds the connection, 0 if none is needed."""

    account: str
    session: str
    state: str
    reason: str
    job_id: str
    node: str
    login_host: str
    route: str
    url: str
    port: int
    pid: int
    ends_at: str
    log: str
    forwards: tuple[Mapping[str, Any], ...] = ()
    interface: str = LAB
    code = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Where it is."""
        job = f"job {self.job_id}" if self.job_id else "no job"
        left = time_left(self.ends_at)
        time = f", {left}" if left else ""
        title = INTERFACES[self.interface if self.interface in INTERFACES else LAB].title
        return [f"{title[0].upper()}{title[1:]} of {self.account} is ready on {self.node} ({job}){time}"]


@dataclass(frozen=True)
class Done:
    """Something was done, or there was nothing to do."""

    account: str
    session: str
    changed: bool
    text: str
    sessions: tuple[str, ...] = ()
    code = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        which: dict[str, Any] = {"sessions": list(self.sessions)} if self.sessions else {"session": self.session}
        return {"account": self.account, **which, "changed": self.changed, "message": self.text}

    def lines(self) -> list[str]:
        """What happened."""
        return [self.text]


@dataclass(frozen=True)
class Holding:
    """A connection to ``session`` that the process ``pid`` of this computer holds; it mends it if it is not ``up``."""

    session: str
    port: int
    pid: int
    up: bool
    route: str = ""

    def words(self) -> str:
        """For the end of a session's line."""
        way = f" by route {self.route}" if self.route else ""
        return f"connected here on port {self.port}{way}" if self.up else f"reconnecting here (process {self.pid})"


@dataclass(frozen=True)
class AccountStatus:
    """The sessions of one account, or why they cannot be seen, and what earlier ones have left.

    A session's ``routes`` are those for which it is offered, whether somebody is connected or not; ``connections`` are
    those of this computer. ``leftovers`` have the command that removes them as ``remedy``. ``untold`` is why it cannot
    be told which jobs there are. ``cause`` is the kind of ``problem`` that asking again does not mend: ``denied``,
    ``untrusted``, ``turned away``.
    """

    account: str
    sessions: tuple[Mapping[str, Any], ...] = ()
    connections: tuple[Holding, ...] = ()
    leftovers: tuple[Mapping[str, Any], ...] = ()
    untold: str = ""
    problem: str = ""
    cause: str = ""

    def to_json(self) -> Any:
        """Its part of what ``--json`` prints."""
        return {**asdict(self), "ports": {item.session: item.port for item in self.connections if item.up}}

    def lines(self) -> list[str]:
        """One line a session, one a leftover."""
        return [*self._head(), *self._left()]

    def _head(self) -> list[str]:
        if self.problem:
            here = [f"{self.account} {item.session}: {item.words()}" for item in self.connections]
            return [f"{self.account}: {self.problem}", *here]
        untold = [f"{self.account}: cannot tell which jobs there are: {self.untold}"] if self.untold else []
        sessions = [self._line(session) for session in self.sessions]
        return [*sessions, *untold] or [f"{self.account}: no session"]

    def _line(self, session: Mapping[str, Any]) -> str:
        name = str(session["session"])
        here = [item.words() for item in self.connections if item.session == name]
        offered = [f"offered for route {' or '.join(session['routes'])}"] if session.get("routes") and not here else []
        dead = [f"removed by: {item['remedy']}" for item in self.leftovers if _is_of(item, name)]
        return "; ".join([line(session), *here, *offered, *dead])

    def _left(self) -> list[str]:
        """What has no line yet: a session that has ended has one already."""
        known = [str(session["session"]) for session in self.sessions]
        return [left_line(item) for item in self.leftovers if not any(_is_of(item, name) for name in known)]


def _is_of(leftover: Mapping[str, Any], session: str) -> bool:
    return (leftover["kind"], leftover["session"]) == ("session", session)


def left_line(leftover: Mapping[str, Any]) -> str:
    """A leftover: what it is, since when, and what removes it."""
    verb = "ended" if leftover["verb"] == "stop" else "removed"
    return f"  left over: {leftover_line(leftover)}; {verb} by: {leftover['remedy']}"


@dataclass(frozen=True)
class Status:
    """The sessions of several accounts; ``leftovers`` are those of no account."""

    accounts: tuple[AccountStatus, ...]
    leftovers: tuple[Mapping[str, Any], ...] = ()
    code: Exit = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return {"accounts": [item.to_json() for item in self.accounts], "leftovers": list(self.leftovers)}

    def lines(self) -> list[str]:
        """All of them."""
        if not self.accounts and not self.leftovers:
            return ["This computer has used no account yet. Name one: hpc-jupyter status ACCOUNT"]
        return [*(line for item in self.accounts for line in item.lines()), *map(left_line, self.leftovers)]


@dataclass(frozen=True)
class Cleaned:
    """What was, or would be, removed; each leftover with the ``account`` that it is of.

    ``kept`` are those that were in use when they were to be removed, ``jobs`` run without a record: ``stop`` ends them.
    ``problems`` are accounts that could not be looked at. ``declined`` is the person's answer.
    """

    removed: tuple[Mapping[str, Any], ...] = ()
    kept: tuple[Mapping[str, Any], ...] = ()
    jobs: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    dry_run: bool = False
    declined: bool = False
    code: Exit = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        parts = {"removed": self.removed, "kept": self.kept, "jobs": self.jobs, "problems": self.problems}
        return {**{name: list(part) for name, part in parts.items()}, "dry_run": self.dry_run}

    def lines(self) -> list[str]:
        """What happened."""
        if self.declined:
            return ["Nothing was removed", *self.problems]
        verb = "Would remove" if self.dry_run else "Removed"
        removed = [f"{verb} {clean_line(item)}" for item in self.removed]
        kept = [f"Not removed, as it may be in use: {clean_line(item)}" for item in self.kept]
        jobs = [f"Not ended: {clean_line(item)}; ended by: {item['remedy']}" for item in self.jobs]
        return [*(removed or ["Nothing to do" if not kept else "Nothing was removed"]), *kept, *jobs, *self.problems]


def clean_line(leftover: Mapping[str, Any]) -> str:
    """A leftover and the account that it is of."""
    of = f"{leftover['account']}: " if leftover.get("account") else ""
    return f"{of}{leftover_line(leftover)}"


@dataclass(frozen=True)
class Several:
    """Something was done for several accounts, or there was ``nothing`` to do; ``problems`` say where it failed."""

    accounts: tuple[Done, ...]
    nothing: str
    problems: tuple[str, ...] = ()
    code: Exit = Exit.OK

    @classmethod
    def of(cls, answers: Sequence[Done | HpcJupyterError], *, nothing: str) -> Several:
        """What came of each account; raises the failure where there is nothing else to tell."""
        done = tuple(each for each in answers if isinstance(each, Done))
        problems = [each for each in answers if isinstance(each, HpcJupyterError)]
        if problems and not done and len(problems) == 1:
            raise problems[0]
        code = exit_code(problems[0]) if problems else Exit.OK
        return cls(done, nothing, tuple(str(each) for each in problems), code)

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return {"accounts": [item.to_json() for item in self.accounts], "problems": list(self.problems)}

    def lines(self) -> list[str]:
        """One line an account."""
        return [*(item.text for item in self.accounts), *self.problems] or [self.nothing]


@dataclass(frozen=True)
class Logs:
    """The end of a session's log."""

    account: str
    session: str
    log: str
    tail: tuple[str, ...]
    code = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The log: what the supervisor says stands out, the rest is the job's and Jupyter's."""
        told = [line if line.startswith(SUPERVISOR) else f"  {line}" for line in self.tail]
        return told or [f"The log of session {self.session} is empty ({self.log})"]


@dataclass(frozen=True)
class Kit:
    """A folder that was written, or was as it should be already."""

    account: str
    directory: str
    files: tuple[str, ...]
    changed: bool
    code = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Where it is, and where to begin."""
        state = "is written" if self.changed else "is there already, as it should be"
        return [f"The kit of {self.account} {state}: {self.directory}", "Begin with its index.html; it holds no secret"]


@dataclass(frozen=True)
class AccountLine:
    """One account of the inventory."""

    account: str
    cluster: str = ""
    user: str = ""
    scheduler: str = ""
    way: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Accounts:
    """The accounts of the inventory."""

    sources: tuple[str, ...]
    accounts: tuple[AccountLine, ...]

    @property
    def code(self) -> Exit:
        """Whether the inventory is right."""
        return Exit.BAD_INPUT if any(item.problem for item in self.accounts) else Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """One line an account; the user's name where somebody's is not the one that the account is called by."""
        rows = [(item.account, item.user or "-", _account(item)) for item in self.accounts]
        shown = any(item.user and item.account != f"{item.user}@{item.cluster}" for item in self.accounts)
        return columns([row if shown else (row[0], row[2]) for row in rows]) or [
            f"No accounts in {', '.join(self.sources)}"
        ]


def _account(item: AccountLine) -> str:
    return item.problem or f"{item.scheduler if item.scheduler != 'none' else 'no scheduler'}, {item.way}"


@dataclass(frozen=True)
class Examined:
    """What the doctor found on one account, in the order of the way to a session."""

    account: str
    checks: tuple[Mapping[str, str], ...]

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return bool(self._count("fail"))

    def lines(self) -> list[str]:
        """The verdict, then each check."""
        wrong, odd = self._count("fail"), self._count("warn")
        told = [f"{wrong} wrong" if wrong else "", f"{odd} to look at" if odd else ""]
        verdict = ", ".join(part for part in told if part) or "all is well"
        return [f"{self.account}: {verdict}", *(f"  {check_line(check)}" for check in self.checks)]

    def _count(self, state: str) -> int:
        return sum(check["state"] == state for check in self.checks)


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found; ``bundle`` is the file with the report for a ticket."""

    accounts: tuple[Examined, ...]
    bundle: str = ""

    @property
    def code(self) -> Exit:
        """0 if nothing failed."""
        return Exit.FAILED if any(item.failed for item in self.accounts) else Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        told = [{"account": item.account, "checks": list(item.checks)} for item in self.accounts]
        return {"accounts": told, "bundle": self.bundle}

    def lines(self) -> list[str]:
        """Account by account."""
        written = [f"For a ticket: {self.bundle}. Read it before you send it"] if self.bundle else []
        return [*(text for item in self.accounts for text in item.lines()), *written]

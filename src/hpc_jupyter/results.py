"""What commands return: frozen, free of surprises, each rendered as text or as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import INTERFACES, LAB
from ansible_collections.hpc.jupyter.plugins.module_utils.words import line, time_left

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
        return shlex.join(["hpc-jupyter", *sources, verb, self.account, *session])


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
    code = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return {"account": self.account, "session": self.session, "changed": self.changed, "message": self.text}

    def lines(self) -> list[str]:
        """What happened."""
        return [self.text]


@dataclass(frozen=True)
class AccountStatus:
    """The sessions of one account, or why they cannot be seen. ``ports`` are those this machine connects."""

    account: str
    sessions: tuple[Mapping[str, Any], ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    problem: str = ""

    def lines(self) -> list[str]:
        """One line a session."""
        if self.problem:
            return [f"{self.account}: {self.problem}"]
        if not self.sessions:
            return [f"{self.account}: no session"]
        return [self._line(session) for session in self.sessions]

    def _line(self, session: Mapping[str, Any]) -> str:
        port = dict(self.ports).get(str(session["session"]), 0)
        here = f"; connected here on port {port}" if port else ""
        return f"{line(session)}{here}"


@dataclass(frozen=True)
class Status:
    """The sessions of several accounts."""

    accounts: tuple[AccountStatus, ...]
    code: Exit = Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return {"accounts": [{**asdict(item), "ports": dict(item.ports)} for item in self.accounts]}

    def lines(self) -> list[str]:
        """All of them."""
        if not self.accounts:
            return ["This computer has used no account yet. Name one: hpc-jupyter status ACCOUNT"]
        return [line for item in self.accounts for line in item.lines()]


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
        """The log."""
        return list(self.tail) or [f"The log of session {self.session} is empty ({self.log})"]


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
        """One line an account."""
        width = max((len(item.account) for item in self.accounts), default=0)
        return [f"{item.account:<{width}}  {_account(item)}" for item in self.accounts] or [
            f"No accounts in {', '.join(self.sources)}"
        ]


def _account(item: AccountLine) -> str:
    return item.problem or f"{item.scheduler if item.scheduler != 'none' else 'no scheduler'}, {item.way}"

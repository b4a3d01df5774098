"""What this machine remembers of an account's sessions: the local port, and who holds the forward."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import ROUTES
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import cancel
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import NOBODY, Process, this_process
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, state_directory

_LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Held:
    """A session's local side: its port, the process that holds the forward, and that process's ssh.

    ``rides`` are forwards on the login ``master`` instead of an ssh of its own. ``ports`` are pairs of a local port and
    the node's one that it leads to as well. ``tried`` are the routes that were looked at, each with what is wrong with
    it, and ``why`` is why ``route`` was taken.
    """

    port: int = 0
    holder: Process = NOBODY
    ssh: Process = NOBODY
    route: str = ""
    rides: tuple[str, ...] = ()
    master: Process = NOBODY
    ports: tuple[tuple[int, int], ...] = ()
    tried: tuple[tuple[str, str], ...] = ()
    why: str = ""

    @property
    def is_up(self) -> bool:
        """Whether a process holds the connection, as far as this machine knows."""
        return self.holder.is_alive and (self.master if self.rides else self.ssh).is_alive


@dataclass(frozen=True)
class Store:
    """The files of one account on this machine."""

    account: str

    @property
    def directory(self) -> Path:
        """0700, made when it is missing."""
        path = state_directory(self.account)
        make_private_directory(path)
        return Path(path)

    def read(self, session: str) -> Held:
        """What is known of ``session``; what cannot be read is not known."""
        try:
            data = json.loads(self.path(session).read_text(encoding="utf-8"))
            return Held(
                port=int(data["port"]),
                holder=Process(**data["holder"]),
                ssh=Process(**data["ssh"]),
                route=str(data.get("route", "")),
                rides=tuple(str(item) for item in data.get("rides", ())),
                master=Process(**data.get("master", asdict(NOBODY))),
                ports=tuple((int(here), int(there)) for here, there in data.get("ports", ())),
                tried=tuple((str(name), str(problem)) for name, problem in data.get("tried", ())),
                why=str(data.get("why", "")),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return Held()

    def write(self, session: str, held: Held) -> None:
        """Remember ``held``, in a 0600 file."""
        write_private(str(self.path(session)), json.dumps(asdict(held)).encode() + b"\n")

    def note(self, session: str) -> None:
        """Remember that there may be such a session, of which nothing is known yet."""
        if not self.path(session).exists():
            self.write(session, Held())

    def is_held(self, session: str) -> bool:
        """Whether a process holds the session's connection, or is mending it."""
        return self.read(session).holder.is_alive

    def release(self, session: str) -> None:
        """This process holds the forward no more; the port is kept for next time."""
        held = self.read(session)
        if held.holder.is_alive and held.holder != this_process():
            return
        with contextlib.suppress(OSError):
            self.write(session, Held(port=held.port))

    def lose(self, session: str) -> None:
        """Nothing of ours listens while the connection is mended: the token must not be shown to who might now."""
        held = self.read(session)
        if held.holder == this_process():
            with contextlib.suppress(OSError):
                self.write(session, replace(held, ssh=NOBODY, rides=(), master=NOBODY))

    def end(self, session: str) -> bool:
        """End what holds a connection, and what a killed holder left; whether there was anything."""
        held = self.read(session)
        found = [process for process in (held.holder, held.ssh) if process.is_alive and process != this_process()]
        for process in found:
            process.end()
        left = held.holder != this_process() and self._cancel(held)
        if found or left:
            self.release(session)
        return bool(found) or left

    def _cancel(self, held: Held) -> bool:
        """Take away what rides on the login master, if whoever held it was killed; whether there was anything."""
        if not held.rides:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            return cancel(Files(str(self.directory)).control, held.rides)
        return False

    def route(self) -> str:
        """The route that worked last time, empty if none is known."""
        with contextlib.suppress(OSError):
            word = (self.directory / _ROUTE).read_text(encoding="ascii", errors="replace").strip()
            return word if word in ROUTES else ""
        return ""

    def remember_route(self, name: str) -> None:
        """Begin with ``name`` next time."""
        if self.route() != name:
            write_private(str(self.directory / _ROUTE), f"{name}\n".encode())

    def sessions(self) -> list[str]:
        """The sessions that this machine has reached."""
        return sorted(path.name.removesuffix(_SUFFIX) for path in self.directory.glob(f"*{_SUFFIX}"))

    @contextlib.contextmanager
    def lock(self, session: str) -> Iterator[None]:
        """Held while the forward is made or ended; raises ``Busy``."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.directory / f"{session}.lock", timeout=_LOCK_SECONDS, mode=0o600):
                yield
        except Timeout as error:
            raise Busy(
                f"another hpc-jupyter has been connecting to session {session} of {self.account} for more than "
                f"{_LOCK_SECONDS:.0f} seconds. Try again, or end it: hpc-jupyter disconnect {self.account}"
            ) from error

    def log(self, session: str) -> Path:
        """Where a background holder writes."""
        return self.directory / f"{session}.log"

    def path(self, session: str) -> Path:
        """Where it is kept what this machine knows of ``session``."""
        return self.directory / f"{session}{_SUFFIX}"


_SUFFIX = ".session.json"
_ROUTE = "route"


def connected_accounts() -> list[str]:
    """The accounts to which this machine has a login connection, or a process that would make one."""
    holding = {name for name in known_accounts() if any(map(Store(name).is_held, Store(name).sessions()))}
    return sorted({*_accounts_with("control"), *_accounts_with("former"), *holding})


def known_accounts() -> list[str]:
    """The accounts that this machine has reached, or where it may have left a job."""
    return _accounts_with(f"*{_SUFFIX}")


def _accounts_with(pattern: str) -> list[str]:
    base = os.path.dirname(state_directory("account"))
    with contextlib.suppress(OSError):
        return sorted({path.parent.name for path in Path(base).glob(f"*/{pattern}")})
    return []

"""What this machine remembers of an account's sessions: the local port, and who holds the forward."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import state_directory

from hpc_jupyter.processes import NOBODY, Process, this_process

_LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Held:
    """A session's local side: its port, the process that holds the forward, and that process's ssh."""

    port: int = 0
    holder: Process = NOBODY
    ssh: Process = NOBODY


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
            data = json.loads(self._path(session).read_text(encoding="utf-8"))
            return Held(int(data["port"]), Process(**data["holder"]), Process(**data["ssh"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Held()

    def write(self, session: str, held: Held) -> None:
        """Remember ``held``, in a 0600 file."""
        write_private(str(self._path(session)), json.dumps(asdict(held)).encode() + b"\n")

    def release(self, session: str) -> None:
        """Nobody holds the forward any more; the port is kept for next time."""
        with contextlib.suppress(OSError):
            self.write(session, replace(self.read(session), holder=NOBODY, ssh=NOBODY))

    def end(self, session: str) -> bool:
        """End what holds a connection, and what a killed holder left; whether there was anything."""
        held = self.read(session)
        found = [process for process in (held.holder, held.ssh) if process.is_alive and process != this_process()]
        for process in found:
            process.end()
        if found:
            self.release(session)
        return bool(found)

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

    def _path(self, session: str) -> Path:
        return self.directory / f"{session}{_SUFFIX}"


_SUFFIX = ".session.json"


def known_accounts() -> list[str]:
    """The accounts that this machine has reached."""
    base = os.path.dirname(state_directory("account"))
    with contextlib.suppress(OSError):
        return sorted({path.parent.name for path in Path(base).glob(f"*/*{_SUFFIX}")})
    return []

"""What this computer remembers of launches on several clusters until they are over, whoever dies in between."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import state_directory

_LATE_SECONDS = 60.0
"""How long a submit may still reach an account whose client has died."""


@dataclass(frozen=True)
class Race:
    """One session of ``asked`` accounts, for whichever is ready first; ``accounts`` are those where it may have a job.

    ``inventory`` describes them. ``began`` is when they were asked to submit, 0 before, and ``answered`` that all have
    said what came of it. ``winner`` is the account whose session is kept, once that is known.
    """

    id: str
    session: str
    asked: tuple[str, ...]
    inventory: tuple[str, ...]
    accounts: tuple[str, ...] = ()
    began: float = 0.0
    answered: bool = False
    winner: str = ""

    @property
    def path(self) -> Path:
        """Its file."""
        return _directory() / f"{self.id}.json"

    def write(self) -> Race:
        """Remember it, in a 0600 file, whole or not at all."""
        make_private_directory(str(_directory()))
        write_private(str(self.path), json.dumps(asdict(self)).encode() + b"\n")
        return self

    def forget(self) -> None:
        """It is over; to be called by its owner."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".lock").unlink(missing_ok=True)

    def may_come_late(self) -> bool:
        """Whether a job of it may yet be submitted where none is now."""
        return not self.answered and time.time() - self.began < _LATE_SECONDS


def new(session: str, accounts: tuple[str, ...], inventory: tuple[str, ...]) -> Race:
    """A race that nothing is known of yet."""
    return Race(secrets.token_hex(8), session, accounts, inventory)


def left() -> list[Race]:
    """The races that are not over, those too that have an owner."""
    found = (_read(path) for path in sorted(_directory().glob("*.json")))
    return [race for race in found if race is not None]


@contextlib.contextmanager
def owned(race: Race) -> Iterator[Race | None]:
    """The race as it is now, while nobody else works on it; ``None`` if somebody does, or it is over.

    Who dies owns nothing any more.
    """
    from filelock import FileLock, Timeout

    make_private_directory(str(_directory()))
    lock = FileLock(race.path.with_suffix(".lock"), timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        yield None
        return
    try:
        yield _read(race.path)
    finally:
        if not race.path.exists():
            race.forget()
        lock.release()


def _read(path: Path) -> Race | None:
    """The race in a file; ``None`` for anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known: dict[str, Any] = {item.name: data[item.name] for item in fields(Race)}
        known.update((name, tuple(value)) for name, value in known.items() if isinstance(value, list))
        return Race(**known)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _directory() -> Path:
    return Path(os.path.dirname(state_directory("account"))) / ".races"

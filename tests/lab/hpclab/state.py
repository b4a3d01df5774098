"""What is known of the labs on this machine: a directory each, which outlives the process that built the lab."""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from .errors import LabError
from .process import Process, until

ROOT = Path("/run/hpclab")
_LOCK = ".lock"
_KEEP_SECONDS = 600.0
_SLOTS = range(70, 250)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, kw_only=True)
class State:
    name: str
    topology: str
    slot: int
    owner: Process | None  # whose end is the lab's; None: kept until `down`
    hub: Process | None = None  # PID 1 of the namespace that holds all others
    hosts: Mapping[str, Process] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return ROOT / self.name

    @property
    def orphaned(self) -> bool:
        return self.owner is not None and not self.owner.alive

    @property
    def running(self) -> bool:
        return self.hub is not None and self.hub.alive

    def save(self, **changes: object) -> Self:
        new = replace(self, **changes)  # type: ignore[arg-type]
        partial = self.directory / "state.partial"
        partial.write_text(json.dumps(asdict(new)))
        partial.replace(self.directory / "state.json")
        return new


def load(name: str) -> State | None:
    try:
        data = json.loads((ROOT / name / "state.json").read_text())
    except FileNotFoundError:
        return None
    hosts = {host: Process(**process) for host, process in data.pop("hosts").items()}
    owner, hub = (Process(**data[key]) if data[key] else None for key in ("owner", "hub"))
    return State(**{**data, "owner": owner, "hub": hub, "hosts": hosts})


def names() -> list[str]:
    return sorted(path.name for path in ROOT.glob("*") if path.is_dir())


def claim(name: str, *, topology: str, owner: Process | None) -> State:
    """A fresh state with a slot of its own; what a dead owner left under the name is removed first."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot be a lab's name: lower case letters, digits and dashes")
    with _lock():
        old = load(name)
        if old and old.running and old.owner and old.owner.alive and old.owner != Process.of(os.getpid()):
            raise LabError(f"lab {name!r} is in use by process {old.owner.pid}; choose another name")
        for abandoned in (name, *filter(_forgotten, names())):
            _remove(abandoned)
        taken = {state.slot for state in map(load, names()) if state}
        slot = next(slot for slot in _SLOTS if slot not in taken)
        (ROOT / name).mkdir(mode=0o700)
        return State(name=name, topology=topology, slot=slot, owner=owner).save()


def remove(name: str) -> None:
    """Ends all processes of the lab, and with them its namespaces, mounts and links; removes its directory."""
    with _lock():
        _remove(name)
        leftover = [path for path in ROOT.iterdir() if path.name != _LOCK]
        if not leftover:
            shutil.rmtree(ROOT)


def _forgotten(name: str) -> bool:
    """Its owner died a while ago; until then one may want to look at what happened."""
    current = load(name)
    age = time.time() - (ROOT / name).stat().st_mtime
    return current is not None and current.orphaned and age > _KEEP_SECONDS


def _remove(name: str) -> None:
    state = load(name)
    hub, hosts = (state.hub, state.hosts.values()) if state else (None, ())
    if hub:
        hub.kill()
        until(lambda: not any(process.alive for process in (hub, *hosts)), what=f"the end of lab {name}")
    shutil.rmtree(ROOT / name, ignore_errors=True)


@contextmanager
def _lock() -> Iterator[None]:
    """One builder or remover at a time; the file may be removed by another while we wait for it."""
    while True:
        ROOT.mkdir(mode=0o700, exist_ok=True)
        with (ROOT / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_current(file.fileno()):
                yield
                return


def _is_current(descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == (ROOT / _LOCK).stat().st_ino
    except FileNotFoundError:
        return False

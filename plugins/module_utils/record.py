# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: where a session is. The one source of truth, written and read only here.

States: ``intended`` → ``submitted`` → ``starting`` → ``ready`` → ``ended``. A job that waits in the queue
is ``submitted`` in the record; answers add ``queued`` and ``unknown`` from what the scheduler says.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Callable

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import RecordError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION
from ansible_collections.hpc.jupyter.plugins.module_utils.lock import held

SCHEMA = 1
_WRITE_LEASE_SECONDS, _WRITE_WAIT_SECONDS = 15.0, 40.0
"""Who waits must outlast the lease of a writer that died on another host."""
_STALE_TRIES = 5

INTENDED = "intended"
SUBMITTED = "submitted"
QUEUED = "queued"
STARTING = "starting"
READY = "ready"
ENDED = "ended"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Record:
    """One session; times are ISO 8601 in UTC, empty where not known yet.

    ``how`` says how an ended session ended: ``finished``, ``stopped``, ``failed``, ``idle``,
    ``time limit``, ``unclaimed``, ``superseded`` or ``lost``. ``offer`` is how the running server is offered:
    ``socket``, ``loopback`` (``port`` of 127.0.0.1), ``lan`` (``port`` of ``address``, an IP literal), or ``reverse``
    (``login_socket``, else ``login_port`` of 127.0.0.1, on ``login_host``); empty in records of the first release.
    ``tls_sha256`` is the SHA-256 of its certificate in hexadecimal digits, empty where it speaks plain http.
    ``host_keys`` and ``login_host_keys`` are the public host keys of ``node`` and ``login_host``, ``TYPE BASE64``.
    Where a server is going to listen on a ``socket`` for a client that comes to the node, these are told while it still
    is ``starting``.
    ``answered`` is the id of the last wish that the supervisor has heeded (see ``wishes.py``), and after a space why it
    could not.
    ``ends_at`` is when the job's time is over; ``idle_since`` is since when nobody has used the session, empty while
    somebody does, and ``idle_ends_at`` when that ends it, empty if it never does.
    ``restarts`` is how often the job had been begun anew when it took the session.
    ``interface`` is one of ``interfaces``; ``page`` is where it opens below ``base_url`` if that is not its usual
    place (see ``interfaces.page_of``). ``race`` is the id of the race that it was submitted for, until somebody comes
    for it (see ``race.py``).
    """

    session: str
    cluster: str
    account: str
    scheduler: str
    generation: int = 0
    state: str = INTENDED
    how: str = ""
    reason: str = ""
    job_id: str = ""
    login_host: str = ""
    login_host_keys: list[str] = field(default_factory=list)
    node: str = ""
    addresses: list[str] = field(default_factory=list)
    host_keys: list[str] = field(default_factory=list)
    offer: str = ""
    socket: str = ""
    address: str = ""
    port: int = 0
    login_socket: str = ""
    login_port: int = 0
    base_url: str = ""
    tls_sha256: str = ""
    step_host_key: str = ""
    pid: int = 0
    restarts: int = 0
    jupyter_version: str = ""
    submitted_at: str = ""
    started_at: str = ""
    ends_at: str = ""
    idle_since: str = ""
    idle_ends_at: str = ""
    log: str = ""
    answered: str = ""
    interface: str = "lab"
    page: str = ""
    race: str = ""
    version: str = VERSION
    schema: int = SCHEMA


def offered(record: Record) -> str:
    """How a ready session is offered, also for a record of the first release, which does not say."""
    return record.offer or ("socket" if record.socket else "loopback")


def now() -> str:
    """This moment as the record writes it."""
    return timestamp(time.time())


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as the record writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def read(path: str) -> Record | None:
    """The record at ``path``; ``None`` where there is none, or what is there is torn or foreign.

    Raises ``RecordError`` for a record of a newer schema. Opens the file instead of asking for its
    attributes, so that NFS clients revalidate it.
    """
    content = _content(path, tries=_STALE_TRIES)
    return None if content is None else parse(content, path=path)


def _content(path: str, *, tries: int) -> bytes | None:
    """The file's content if it is our own; asked again where another NFS client replaced it meanwhile."""
    try:
        with open(path, "rb") as stream:
            owner = os.fstat(stream.fileno()).st_uid
            content = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno != errno.ESTALE or tries <= 1:
            raise
        time.sleep(0.05)
        return _content(path, tries=tries - 1)
    return content if owner == os.geteuid() else None


def parse(content: bytes, *, path: str) -> Record | None:
    """The record in ``content``, or ``None`` if it is torn or not a record."""
    try:
        data = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        return None
    if data["schema"] > SCHEMA:
        raise RecordError(
            f"{path} was written by hpc.jupyter {data.get('version', 'of a newer release')}, this is {VERSION}: "
            "update hpc.jupyter on this side"
        )
    return _build(data)


def _build(data: dict[str, Any]) -> Record | None:
    default = Record("", "", "", "")
    known = {item.name: data[item.name] for item in fields(Record) if item.name in data}
    if not all(_fits(getattr(default, name), value) for name, value in known.items()):
        return None
    try:
        return Record(**known)
    except TypeError:
        return None


def _fits(example: object, value: object) -> bool:
    if isinstance(example, list):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return type(value) is type(example)


def write(path: str, record: Record) -> None:
    """Put ``record`` at ``path``, whole or not at all."""
    write_private(path, json.dumps(asdict(record), indent=2).encode() + b"\n")


def update(path: str, change: Callable[[Record | None], Record | None]) -> Record | None:
    """Replace the record by ``change(record)``, one writer at a time; ``None`` from ``change`` leaves it."""
    lock = f"{path}.writing"
    with held(lock, wait_seconds=_WRITE_WAIT_SECONDS, lease_seconds=_WRITE_LEASE_SECONDS, what=path):
        changed = change(read(path))
        if changed is not None:
            write(path, changed)
        return changed


def ended(record: Record, *, how: str, reason: str) -> Record:
    """``record`` as it is once its session is over."""
    return replace(record, state=ENDED, how=how, reason=reason)

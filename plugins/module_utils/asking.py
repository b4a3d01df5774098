# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a running session, from the login host, to be offered another way or to start Jupyter anew."""

from __future__ import annotations

import contextlib
import glob
import ipaddress
import os
import secrets
import shutil
import socket
import stat
import tempfile
import time
from typing import ContextManager, Iterator, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import node, wishes
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.lock import held
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.wishes import Landing, Wish

OFFER_SECONDS = 60.0
RESTART_SECONDS = 240.0
_STARTING_SECONDS = 180.0
_LOCK_WAIT_SECONDS = 90.0
_POLL_SECONDS = 0.1
_PREFIX = "hpcl-"
_MARKER = "landing"


class NotDone(HpcJupyterError):
    """The supervisor could not, or did not, do what it was asked for; the session goes on as it was."""


class NotRunning(NotDone):
    """There is no session that runs."""


def offer(
    files: SessionFiles, want: str, *, environment: Mapping[str, str], seconds: float = OFFER_SECONDS
) -> Record:
    """Have the running session offered another way, from this login host; returns the record that says so."""
    record = _running(files)
    if record.offer == "loopback":
        raise NotDone(f"session {record.session} runs on the very machine that it is used on: it needs no other way")
    if want != "reverse":
        return ask(files, want, landing=landing("", environment=environment), seconds=seconds)
    if record.scheduler == "none":
        raise NotDone(f"session {record.session} runs on the login host itself: there is no way back to make")
    # Within the lock: who succeeds removes the other directories, and another one who asks may be about to use theirs.
    with _alone(files, seconds=seconds), made_landing(files, environment=environment) as place:
        return _ask(files, want, landing=place, seconds=seconds)


def restart(files: SessionFiles, *, seconds: float = RESTART_SECONDS) -> Record:
    """Have Jupyter started anew in the same job; what runs in its kernels is lost."""
    _running(files)
    return ask(files, wishes.RESTART, landing=None, seconds=seconds)


def ask(files: SessionFiles, want: str, *, landing: Landing | None, seconds: float) -> Record:
    """Leave a wish and wait for its answer; raises ``NotDone`` with the supervisor's own reason."""
    with _alone(files, seconds=seconds):
        return _ask(files, want, landing=landing, seconds=seconds)


def _alone(files: SessionFiles, *, seconds: float) -> ContextManager[None]:
    return held(files.asking, wait_seconds=max(_LOCK_WAIT_SECONDS, seconds), what="the session")


def _ask(files: SessionFiles, want: str, *, landing: Landing | None, seconds: float) -> Record:
    record = _running(files)
    former = wishes.read(files.wish)
    kept = landing or (former.landing if former else None)
    wish = Wish(secrets.token_hex(8), record.generation, want, kept)
    wishes.write(files.wish, wish)
    return _answer(files, wish, seconds=seconds)


def _running(files: SessionFiles) -> Record:
    record = rec.read(files.record)
    if record is None or record.state not in (rec.STARTING, rec.READY):
        raise NotRunning(f"session {os.path.basename(files.path)} does not run, so it cannot be asked for anything")
    return record


def _answer(files: SessionFiles, wish: Wish, *, seconds: float) -> Record:
    deadline = time.monotonic() + seconds
    latest = deadline + _STARTING_SECONDS
    record: Record | None = None
    while time.monotonic() < (latest if _starts(record) else deadline):
        record = rec.read(files.record)
        if record is not None and record.answered.partition(" ")[0] == wish.id:
            problem = record.answered.partition(" ")[2]
            if problem:
                raise NotDone(problem)
            return record
        if record is None or record.state == rec.ENDED or record.generation != wish.generation:
            how = f" ({record.how}: {record.reason})" if record is not None and record.state == rec.ENDED else ""
            raise NotDone(f"the session ended before it answered{how}")
        time.sleep(_POLL_SECONDS)
    if _starts(record):
        raise NotDone("the session is still starting Jupyter anew; look again with `hpc-session status`")
    raise NotDone(
        f"the session did not answer within {seconds:.0f} seconds. One that an earlier release started cannot be "
        "asked: stop it and launch it again"
    )


def _starts(record: Record | None) -> bool:
    """Whether the supervisor is at it: Jupyter starts, which takes long on a slow file system."""
    return record is not None and record.state == rec.STARTING


def landing(directory: str, *, environment: Mapping[str, str]) -> Landing:
    """This login host as a node may find it; ``environment`` is that of the ssh login that we run in."""
    address, port = _reached(environment.get("SSH_CONNECTION", "").split())
    addresses = dict.fromkeys([*node.addresses(), *([address] if address else [])])
    return Landing(socket.gethostname(), port, tuple(node.host_keys()), tuple(addresses), directory)


def _reached(connection: Sequence[str]) -> tuple[str, int]:
    """Under which address and port sshd was reached, from ``SSH_CONNECTION``."""
    try:
        address, port = str(ipaddress.ip_address(connection[2])), int(connection[3])
    except (ValueError, IndexError):
        return "", 22
    return (address if node.is_reachable(address) else ""), (port if 0 < port < 65536 else 22)


@contextlib.contextmanager
def made_landing(files: SessionFiles, *, environment: Mapping[str, str]) -> Iterator[Landing]:
    """A landing with a fresh directory; it takes the place of earlier ones if all goes well, else it goes again."""
    place = landing(_make_directory(files), environment=environment)
    try:
        if not place.host_keys:
            raise NotDone(f"{place.host} has no public host keys in /etc/ssh that the node could know it by")
        yield place
    except BaseException:
        shutil.rmtree(place.directory, ignore_errors=True)
        raise
    forget_landings(files, but=place.directory)


def _make_directory(files: SessionFiles) -> str:
    refused = []
    # Not TMPDIR: a login's own temporary directory may end with the login.
    for base in node.temporary_directories({}):
        problem = node.unfit(base, home=os.path.expanduser("~"))
        if not problem:
            made = tempfile.mkdtemp(prefix=_PREFIX, dir=base)
            write_private(os.path.join(made, _MARKER), os.fsencode(files.path))
            return made
        refused.append(f"{base}: {problem}")
    raise NotDone(f"no place for a socket on {socket.gethostname()}: {'; '.join(refused)}")


def forget_landings(files: SessionFiles, *, but: str = "") -> None:
    """Remove the session's directories of this host: only our own, and no links."""
    for path, session in landings():
        if session == files.path and path != but:
            shutil.rmtree(path, ignore_errors=True)


def landings() -> Iterator[tuple[str, str]]:
    """This host's directories for ways back that are our own, no links, each with the session's that it is for."""
    for base in node.temporary_directories({}):
        for path in glob.glob(os.path.join(glob.escape(base), f"{_PREFIX}*")):
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                    yield path, os.fsdecode(_marked(path))


def _marked(path: str) -> bytes:
    with open(os.path.join(path, _MARKER), "rb") as stream:
        return stream.read()

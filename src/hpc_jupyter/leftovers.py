"""What earlier commands have left on this computer: found without asking any host, removed only if it is dead."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.leftovers import Leftover
from ansible_collections.hpc.jupyter.plugins.module_utils.record import timestamp
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import control
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files

from hpc_jupyter import browser, play
from hpc_jupyter.state import Held, Store

HERE = "this computer"
FORWARD, LOGIN, REDIRECT, TEMPORARY, PLAY = "forward", "login", "redirect", "temporary", "play"
_OLD_SECONDS = 600.0


def find(account: str) -> list[Leftover]:
    """What was left of one account's sessions."""
    store = Store(account)
    return [each for kind in (_forwards, _logins, _redirects, _temporaries) for each in kind(store)]


def find_plays() -> list[Leftover]:
    """What killed runs of Ansible have left, of whichever account."""
    return [_of(PLAY, path, "the private files of a run of Ansible that was killed") for path in play.left_behind()]


def remove(account: str, found: Leftover) -> bool:
    """Whether it is gone now by our doing; it is looked at again first."""
    if found.kind == PLAY:
        return play.remove_left_behind(Path(found.where))
    if found not in find(account):
        return False
    store = Store(account)
    with contextlib.suppress(Busy, OSError):
        return _REMOVERS[found.kind](store, found)
    return False


def _forwards(store: Store) -> Iterator[Leftover]:
    for session in store.sessions():
        held = store.read(session)
        if held.holder.pid and not held.holder.is_alive:
            yield _of(FORWARD, store.path(session), _forward(session, held), session)


def _forward(session: str, held: Held) -> str:
    died = f"whose hpc-jupyter (process {held.holder.pid}) was killed"
    if held.ssh.is_alive:
        return f"a connection to session {session}, {died}; ssh (process {held.ssh.pid}) still holds port {held.port}"
    if held.rides and held.master.is_alive:
        return f"a connection to session {session}, {died}; the login connection still holds port {held.port}"
    return f"the note of a connection to session {session} on port {held.port}, {died}"


def _end_forward(store: Store, found: Leftover) -> bool:
    with store.lock(found.session):
        if store.read(found.session).holder.is_alive:
            return False
        store.end(found.session)
        store.release(found.session)
        return True


def _logins(store: Store) -> Iterator[Leftover]:
    files = Files(str(store.directory))
    with _nobody_logs_in(files) as alone:
        for path in (files.control, files.entrance) if alone else ():
            if os.path.lexists(path) and not _answers(path):
                yield _of(LOGIN, Path(path), "the socket of a login connection that is gone")
        if alone and os.path.lexists(files.former):
            yield _of(LOGIN, Path(files.former), "a login connection that a login which was killed has set aside")


def _answers(path: str) -> bool:
    """Whether a master may be there; one that is stopped does not answer, and lives."""
    try:
        return control(path, "check").returncode == 0
    except subprocess.TimeoutExpired:
        return True


def _remove_login(store: Store, found: Leftover) -> bool:
    files = Files(str(store.directory))
    with _nobody_logs_in(files) as alone:
        if alone and found.where == files.former:
            ssh.end_former(files)
            return True
        if not alone or _answers(found.where):
            return False
        Path(found.where).unlink(missing_ok=True)
        return True


@contextlib.contextmanager
def _nobody_logs_in(files: Files) -> Iterator[bool]:
    """Hold what a login holds while it makes its socket; gives ``False`` if somebody logs in right now."""
    with os.fdopen(os.open(files.lock, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _redirects(store: Store) -> Iterator[Leftover]:
    for path in browser.left_behind(store.directory):
        yield _of(REDIRECT, path, "a page that led the browser to a session; its token is in it")


def _temporaries(store: Store) -> Iterator[Leftover]:
    for pattern, kind in ((".new-*", stat.S_ISREG), (".login-*", stat.S_ISREG), (".answer-*", stat.S_ISDIR)):
        for path in sorted(store.directory.glob(pattern)):
            if _is_own(path, kind) and time.time() - path.lstat().st_mtime > _OLD_SECONDS:
                yield _of(TEMPORARY, path, "private files of a command that was killed")


def _delete(_store: Store, found: Leftover) -> bool:
    path = Path(found.where)
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


_REMOVERS: dict[str, Callable[[Store, Leftover], bool]] = {
    FORWARD: _end_forward,
    LOGIN: _remove_login,
    REDIRECT: _delete,
    TEMPORARY: _delete,
}


def _is_own(path: Path, kind: Callable[[int], bool]) -> bool:
    with contextlib.suppress(OSError):
        status = path.lstat()
        return kind(status.st_mode) and status.st_uid == os.geteuid()
    return False


def _of(kind: str, path: Path, what: str, session: str = "") -> Leftover:
    since = ""
    with contextlib.suppress(OSError):
        since = timestamp(path.lstat().st_mtime)
    return Leftover(kind, str(path), what, session, since, HERE)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier launches have left on an account: found by reading alone; removed only if it is dead and ours.

Ours is what belongs to this user, is no link, and either lies in the account's directory or is marked with a session
of it. Where the scheduler cannot be asked, nothing of a session counts as dead.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import socket
import stat
import tempfile
from dataclasses import asdict, dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import asking, lock, node, session, stopping
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError, SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.files import DEBRIS, age_seconds, remove_path
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import DEBRIS_SECONDS, View
from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, PENDING, Job, Scheduler

CLEAN, STOP = "clean", "stop"
JOB, LANDING, NODE, WINDOW, LOCK, FILE, SESSION = "job", "landing", "node", "window", "lock", "file", "session"

_LOCK_WAIT_SECONDS = 5.0
_FINAL = ("finished", "stopped", "idle", "time limit", "lost")
"""Ends after which no scheduler puts a job back into the queue; a job is lost when it is not even known any more."""
_REMOVED = ".removed-"
_WINDOW = "hpcj-window-"


@dataclass(frozen=True)
class Leftover:
    """One thing that nobody uses any more, or a job that no record knows.

    ``where`` is its path on ``host``, or a job's id; ``what`` says what it is and why nobody needs it; ``since`` is as
    the record writes times, empty where it is not known. ``verb`` is the command that ends or removes it.
    """

    kind: str
    where: str
    what: str
    session: str = ""
    since: str = ""
    host: str = ""
    verb: str = CLEAN


@dataclass(frozen=True)
class Found:
    """All that was found; ``untold`` says why nothing is known of jobs, empty if it is."""

    leftovers: tuple[Leftover, ...]
    untold: str = ""

    @property
    def dead(self) -> tuple[Leftover, ...]:
        """What can be removed."""
        return tuple(each for each in self.leftovers if each.verb == CLEAN)

    def to_list(self) -> list[dict[str, Any]]:
        """For a module's answer."""
        return [asdict(each) for each in self.leftovers]


def see(layout: Layout, name: str, scheduler: Scheduler, *, account: str, cluster: str) -> View:
    """The session as it really is; one whose record cannot be read does not hide the others."""
    try:
        return session.look(layout, name, scheduler)
    except HpcJupyterError as error:
        return View(rec.Record(name, cluster, account, scheduler.name, state=rec.UNKNOWN, reason=str(error)))


def find(layout: Layout, scheduler: Scheduler, views: Mapping[str, View]) -> Found:
    """What is left over; ``views`` are the account's sessions by name. Changes nothing."""
    jobs, untold = _listed(scheduler, silence=_silence(scheduler, views))
    account = _Account(layout, scheduler, views, jobs, untold)
    return Found(tuple(each for kind in _FINDERS for each in kind(account)), untold)


def _listed(scheduler: Scheduler, *, silence: str) -> tuple[list[tuple[str, Job]], str]:
    """All jobs of ours, and why they cannot be told."""
    try:
        return ([], silence) if silence else (scheduler.sessions(), "")
    except SchedulerUnavailable as error:
        return [], str(error)


def _silence(scheduler: Scheduler, views: Mapping[str, View]) -> str:
    """Why the scheduler has not answered about a session's job a moment ago: it need not be waited for once more.

    Without a scheduler each host answers for itself.
    """
    records = [view.record for view in views.values() if view.record is not None and scheduler.requeues]
    return next((record.reason for record in records if record.state == rec.UNKNOWN and record.job_id), "")


def remove(
    layout: Layout, scheduler: Scheduler, views: Mapping[str, View], *, only: Sequence[str] | None = None
) -> list[Leftover]:
    """Remove what is dead, looked at again at the moment of its removal; ``only`` limits it to these paths."""
    found = [each for each in find(layout, scheduler, views).dead if only is None or each.where in only]
    # Locks of the dead go first, since we take them ourselves; a session's directory goes last, with its lock in it.
    return [each for each in found if _removed(each, layout, scheduler)]


def session_names(layout: Layout, scheduler: Scheduler) -> list[str]:
    """Every session of which there is a directory or a job; raises ``SchedulerUnavailable``.

    An account that was never set up, or is given up, has none.
    """
    if not os.path.isdir(layout.root):
        return []
    with_jobs = {name for name, job in scheduler.sessions() if job.phase != ENDING}
    return sorted({*session.names(layout), *(name for name in with_jobs if _is_name(name))})


def stop_all(layout: Layout, scheduler: Scheduler, *, seconds: float) -> list[str]:
    """End every session and every job of ours; returns the names of those that were ended.

    One that cannot be ended does not keep the others; raises ``HpcJupyterError`` with what could not, at the end.
    """
    answers = {name: _stopped(layout, name, scheduler, seconds=seconds) for name in session_names(layout, scheduler)}
    stopped = [name for name, answer in answers.items() if answer is True]
    problems = [f"session {name}: {answer}" for name, answer in answers.items() if isinstance(answer, HpcJupyterError)]
    if problems:
        others = f"these were stopped: {', '.join(stopped)}" if stopped else "nothing else was stopped"
        raise HpcJupyterError("; ".join([*problems, others]))
    return stopped


def _stopped(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> bool | HpcJupyterError:
    try:
        return stopping.stop(layout, name, scheduler, seconds=seconds).changed
    except HpcJupyterError as error:
        return error


@dataclass(frozen=True)
class _Account:
    """What is known of the account before anything of it is judged."""

    layout: Layout
    scheduler: Scheduler
    views: Mapping[str, View]
    jobs: list[tuple[str, Job]]
    untold: str

    def name_of(self, path: str) -> str:
        """The session whose directory ``path`` is; empty if it is none of this account's."""
        directory, name = os.path.split(path)
        inside = os.path.realpath(directory) == os.path.realpath(self.layout.sessions)
        return name if inside and _is_name(name) else ""

    def files(self, name: str) -> SessionFiles:
        """The session's files."""
        return self.layout.session(name)

    def is_live(self, name: str) -> bool:
        """Whether the session has, or may have, a job; or somebody is at it right now."""
        view = self.views.get(name)
        held = any(_is_held(path) for path in (self.files(name).lock, self.files(name).asking))
        return held or bool(self.untold) or (view is not None and view.is_live)

    def has_job(self, name: str) -> bool:
        """Whether there is a job of this session, or nobody can say."""
        return bool(self.untold) or any(each == name for each, _job in self.jobs)


def _jobs(account: _Account) -> Iterator[Leftover]:
    for name, job in account.jobs:
        view = account.views.get(name)
        record = view.record if view else None
        problem = _unknown(account, name, job, record) if job.phase != ENDING and _is_name(name) else ""
        if problem:
            where = f"{job.phase} on {job.node}" if job.node else job.phase
            what = f"job {job.job_id} of session {name} ({where}): {problem}"
            yield Leftover(JOB, job.job_id, what, name, "" if job.phase == PENDING else job.starts_at, verb=STOP)


def _unknown(account: _Account, name: str, job: Job, record: rec.Record | None) -> str:
    """Why no record knows this job; empty if one does."""
    if record is None:
        return "no record knows it"
    if not record.job_id:
        return "its submit was cut off; a launch joins it"
    if record.job_id != job.job_id:
        return f"the session's record is of job {record.job_id}"
    ended = record.state == rec.ENDED and _is_old(account.files(name).record)
    return f"its session has ended ({record.how})" if ended else ""


def _landings(account: _Account) -> Iterator[Leftover]:
    for path, marked in asking.landings():
        name = account.name_of(marked)
        if name and not _may_be_used(account, name):
            yield _of(LANDING, path, name, "the way back to a session that has ended")


def _may_be_used(account: _Account, name: str) -> bool:
    """Whether a landing is, or may be about to be, in use."""
    if not os.path.isdir(account.files(name).path):
        return account.has_job(name)
    return account.is_live(name)


def _nodes(account: _Account) -> Iterator[Leftover]:
    for base in node.temporary_directories(os.environ):
        for path, marked in node.left_over(base):
            name = account.name_of(marked)
            if name:
                yield _of(NODE, path, name, "sockets of a Jupyter whose supervisor was killed")


def _windows(account: _Account) -> Iterator[Leftover]:
    for path in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{_WINDOW}*")):
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError, TypeError):
            if _is_own_directory(path) and _is_old(path):
                with open(os.path.join(path, "order.json"), encoding="utf-8") as stream:
                    name = account.name_of(str(json.load(stream)["argv"][1]))
                if name:
                    yield _of(WINDOW, path, name, "the start of a window that was cut off")


def _locks(account: _Account) -> Iterator[Leftover]:
    for name in _names(account):
        for path, lease in _locks_of(account.files(name)):
            holder = lock.left_over(path, lease_seconds=lease)
            if holder:
                yield _of(LOCK, path, name, f"the lock of {holder}, which is gone")


def _locks_of(files: SessionFiles) -> Iterable[tuple[str, float]]:
    """Each lock and how long one may hold it; the longest lease, where it depends on what is done."""
    return ((files.lock, lock.LEASE_SECONDS), (files.asking, 2 * lock.LEASE_SECONDS), (files.writing, 60.0))


def _files(account: _Account) -> Iterator[Leftover]:
    files = [account.files(name) for name in _names(account)]
    inside = [path for each in files for path in (each.path, each.step)]
    for directory in (account.layout.root, account.layout.server, account.layout.sessions, *inside):
        for path in _half_made(directory):
            yield _of(FILE, path, "", "a private file that was half made")
    for path in glob.glob(os.path.join(glob.escape(account.layout.root), f"{_REMOVED}*")):
        if _is_own_directory(path):
            yield _of(FILE, path, "", "a session's directory that was half removed")


def _half_made(directory: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if DEBRIS.fullmatch(name) and _is_own_file(path) and _is_old(path):
                yield path


def _sessions(account: _Account) -> Iterator[Leftover]:
    for name in _names(account):
        what = "" if account.is_live(name) or account.has_job(name) else _dead(account, name)
        if what:
            yield _of(SESSION, account.files(name).path, name, what)


def _dead(account: _Account, name: str) -> str:
    """Why the session's directory is of no use any more; empty if it may be."""
    files, view = account.files(name), account.views.get(name)
    record = view.record if view else None
    if record is None:
        return "a session's directory without a record that can be read" if _is_old(files.path) else ""
    if account.scheduler.requeues and record.how not in _FINAL and not _is_settled(files, record):
        return ""
    return f"record, token and log of session {name}, which has ended ({record.how or 'lost'})"


def _is_settled(files: SessionFiles, record: rec.Record) -> bool:
    """Whether an end that a requeue could undo was written long ago; or the submit was cut off that long ago."""
    written = rec.read(files.record)
    final = written is not None and (written.state == rec.ENDED or not record.job_id)
    return final and _is_old(files.record)


_FINDERS: tuple[Callable[[_Account], Iterator[Leftover]], ...] = (
    _jobs, _locks, _landings, _nodes, _windows, _files, _sessions,
)


def _names(account: _Account) -> list[str]:
    """The sessions whose directories are ours."""
    return [name for name in account.views if _is_own_directory(account.files(name).path)]


def _of(kind: str, path: str, name: str, what: str) -> Leftover:
    seen = os.path.join(path, "record.json") if kind == SESSION else path
    return Leftover(kind, path, what, name, _changed_at(seen), socket.gethostname())


def _changed_at(path: str) -> str:
    with contextlib.suppress(OSError):
        return rec.timestamp(os.lstat(path).st_mtime)
    return ""


def _removed(each: Leftover, layout: Layout, scheduler: Scheduler) -> bool:
    """Whether it is gone now by our doing; what is in use again, or cannot be removed, stays."""
    try:
        if each.kind == LOCK:
            return _remove_lock(each, layout)
        if each.session and _is_own_directory(layout.session(each.session).path):
            files = layout.session(each.session)
            with lock.held(files.lock, wait_seconds=_LOCK_WAIT_SECONDS, what=f"session {each.session}"):
                return _remove_unless_used(each, layout, scheduler)
        return _remove_unless_used(each, layout, scheduler)
    except (HpcJupyterError, OSError):
        return False


def _remove_lock(each: Leftover, layout: Layout) -> bool:
    leases = dict(_locks_of(layout.session(each.session)))
    return lock.remove_left_over(each.where, lease_seconds=leases[each.where])


def _remove_unless_used(each: Leftover, layout: Layout, scheduler: Scheduler) -> bool:
    """Look again, with the session's lock held by us, so that nothing can begin to use it meanwhile."""
    if each.kind in (LANDING, SESSION) and _is_used(each, layout, scheduler):
        return False
    if each.kind != SESSION:
        remove_path(each.where)
        return not os.path.lexists(each.where)
    aside = os.path.join(layout.root, _REMOVED + secrets.token_hex(8))
    os.rename(each.where, aside)
    remove_path(aside)
    return True


def _is_used(each: Leftover, layout: Layout, scheduler: Scheduler) -> bool:
    if _is_held(layout.session(each.session).asking):
        return True
    view = session.look(layout, each.session, scheduler)
    return view.is_live or any(name == each.session for name, _job in scheduler.sessions())


def _is_held(path: str) -> bool:
    return os.path.lexists(path) and not lock.left_over(path, lease_seconds=2 * lock.LEASE_SECONDS)


def _is_old(path: str) -> bool:
    with contextlib.suppress(OSError):
        age = age_seconds(path)
        return age is not None and age > DEBRIS_SECONDS
    return False


def _is_own_directory(path: str) -> bool:
    return _is_own(path, stat.S_ISDIR)


def _is_own_file(path: str) -> bool:
    return _is_own(path, stat.S_ISREG)


def _is_own(path: str, kind: Callable[[int], bool]) -> bool:
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        return kind(status.st_mode) and status.st_uid == os.geteuid()
    return False


def _is_name(name: str) -> bool:
    with contextlib.suppress(BadInput):
        return session_name(name) == name
    return False

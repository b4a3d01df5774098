# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One session on one account: observe it, find or submit it, wait for it, stop it.

Everything here runs on the account, as the account; the caller turns ``HpcJupyterError`` into its own kind of failure.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import secrets
import socket
import time
from dataclasses import dataclass, replace
from typing import Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils import asking, job_names, node, wishes
from ansible_collections.hpc.jupyter.plugins.module_utils import plan as planning
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    HpcJupyterError,
    NotSetUp,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.files import (
    age_seconds,
    make_private_directory,
    write_private,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.lock import held
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import Observed, Plan, View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    GONE,
    PENDING,
    RUNNING,
    Job,
    Order,
    Scheduler,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.wishes import Landing, Wish

_LOCK_WAIT_SECONDS = 90.0
_WATCH_SECONDS = 0.1
_SETTLED_SECONDS = 2.0
_CONSISTENT_TRIES = 5
_REQUEUE_SECONDS = 600.0
_QUERY_PAUSES = (0.3, 0.7, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


@dataclass(frozen=True)
class Outcome:
    """What an act led to: the session before and after it."""

    before: View
    after: View
    changed: bool


def job_name(session: str, layout: Layout) -> str:
    """The job's name: the key under which a session's job is found again, of this account directory alone."""
    return job_names.job_name(session, layout.root)


def observe(layout: Layout, name: str, scheduler: Scheduler, *, by_name: bool = False) -> Observed:
    """Record and scheduler's word; jobs are searched for ``by_name`` too when asked, or when the record has no id.

    The answer is about the record that it holds: if that changed while the scheduler was asked, it is asked again.
    """
    path = layout.session(name).record
    for _each in range(_CONSISTENT_TRIES):
        record = rec.read(path)
        seen = _ask(record, layout, name, scheduler, by_name=by_name)
        latest = rec.read(path)
        if _job_key(latest) == _job_key(record):
            return replace(seen, record=latest)
    return Observed(rec.read(path), trouble="the session keeps changing")


def _job_key(record: Record | None) -> object:
    return (record.generation, record.job_id) if record else None


def _ask(record: Record | None, layout: Layout, name: str, scheduler: Scheduler, *, by_name: bool) -> Observed:
    path = layout.session(name).record
    live = record is not None and record.state != rec.ENDED
    age = 0.0 if record is None or record.job_id else age_seconds(path) or 0.0
    try:
        known = record is not None and record.job_id and (live or _has_just_ended(path))
        job = _query(record, scheduler) if record and known else None
        search = by_name or (live and job is None)
        named = tuple(scheduler.find(job_name(name, layout))) if search else ()
    except SchedulerUnavailable as error:
        return Observed(record, trouble=str(error), age_seconds=age)
    return Observed(record, job, named, age_seconds=age)


def _query(record: Record, scheduler: Scheduler) -> Job | None:
    """The job of ``record``; one that has ended and cannot come back need not be asked for where it ran."""
    try:
        return scheduler.query(record.job_id)
    except SchedulerUnavailable:
        if record.state != rec.ENDED or scheduler.requeues:
            raise
        return None


def _has_just_ended(path: str) -> bool:
    """A job that ended a moment ago may be put back into the queue, and then lives again."""
    try:
        return time.time() - os.stat(path).st_mtime < _REQUEUE_SECONDS
    except OSError:
        return False


def look(layout: Layout, name: str, scheduler: Scheduler) -> View:
    """The session as it really is."""
    return planning.view(observe(layout, name, scheduler))


def names(layout: Layout) -> list[str]:
    """The names of the sessions that this account has a record of."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(layout.sessions) if os.path.isdir(layout.session(name).path))
    return []


def decide(request: Request, layout: Layout, scheduler: Scheduler) -> Plan:
    """What ``find_or_submit`` would do; changes nothing."""
    _check(request, layout, scheduler)
    return planning.plan(observe(layout, request.session, scheduler, by_name=True))


def find_or_submit(request: Request, layout: Layout, scheduler: Scheduler) -> Outcome:
    """The session that ``request`` names: the one that lives, or a new one; at most one job, whoever else asks."""
    _check(request, layout, scheduler)
    files = layout.session(request.session)
    make_private_directory(files.path)
    with held(files.lock, wait_seconds=_LOCK_WAIT_SECONDS, what=f"session {request.session}"):
        return _act(_settled_plan(request, layout, scheduler), request, layout, scheduler)


def _settled_plan(request: Request, layout: Layout, scheduler: Scheduler) -> Plan:
    """The plan once an earlier, unclear submit has either shown its job or had its time."""
    deadline = time.monotonic() + planning.AMBIGUOUS_SECONDS + 5
    while True:
        observed = observe(layout, request.session, scheduler, by_name=True)
        decided = planning.plan(observed)
        if decided.action != planning.AWAIT:
            return decided
        if observed.trouble:
            raise SchedulerUnavailable(
                f"{scheduler.name} cannot be asked on {socket.gethostname()}, so nothing was submitted: "
                f"{observed.trouble}. Try again when it answers"
            )
        if time.monotonic() > deadline:
            return replace(decided, action=planning.SUBMIT)
        time.sleep(0.5)


def _act(decided: Plan, request: Request, layout: Layout, scheduler: Scheduler) -> Outcome:
    if decided.action == planning.KEEP:
        return Outcome(decided.view, decided.view, changed=False)
    if decided.action == planning.ADOPT and decided.job is not None:
        _adopt(decided.job, request, layout)
    else:
        _submit(request, layout, scheduler)
    return Outcome(decided.view, look(layout, request.session, scheduler), changed=True)


def _adopt(job: Job, request: Request, layout: Layout) -> None:
    files = layout.session(request.session)
    known = rec.read(files.record) or _blank(request, files)
    rec.update(files.record, lambda latest: replace(_revived(latest or known), job_id=job.job_id))


def _revived(record: Record) -> Record:
    started = record.state not in (rec.INTENDED, rec.ENDED)
    return record if started else replace(record, state=rec.SUBMITTED, how="", reason="")


def _submit(request: Request, layout: Layout, scheduler: Scheduler) -> None:
    files = layout.session(request.session)
    intention = _intend(request, files)
    order = _order(request, layout, generation=intention.generation)
    try:
        job_id = scheduler.submit(order)
    except SubmitUnclear as error:
        job_id = _found_again(scheduler, order.name, unclear=error)
    except (SubmitRefused, SchedulerUnavailable) as error:
        _conclude(files, intention.generation, how="failed", reason=str(error))
        raise
    rec.update(files.record, lambda latest: _submitted(latest, intention, job_id=job_id))


def _intend(request: Request, files: SessionFiles) -> Record:
    """Write down what is about to be done, with fresh secrets, before it is done."""
    previous = rec.read(files.record)
    intention = replace(_blank(request, files), generation=(previous.generation if previous else 0) + 1)
    write_private(files.token, base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"="))
    write_private(files.cookie_secret, secrets.token_bytes(64))
    write_private(files.request, request.to_json())
    wishes.write(files.wish, Wish("", intention.generation, "", _landing(request, files)))
    write_private(files.log, b"")
    rec.write(files.record, intention)
    return intention


def _landing(request: Request, files: SessionFiles) -> Landing | None:
    """Where the way back is to end, if one was asked for from the start: on this very host."""
    if request.offer != "reverse":
        asking.forget_landings(files)
        return None
    with asking.made_landing(files, environment=os.environ) as place:
        return place


def _blank(request: Request, files: SessionFiles) -> Record:
    return Record(
        session=request.session, cluster=request.cluster, account=request.account, scheduler=request.scheduler,
        login_host=socket.gethostname(), login_host_keys=node.host_keys(), base_url=f"/{secrets.token_hex(8)}/",
        offer=request.offer, submitted_at=rec.now(), log=files.log,
        interface=request.interface,
    )


def _order(request: Request, layout: Layout, *, generation: int) -> Order:
    files = layout.session(request.session)
    return Order(
        name=job_name(request.session, layout),
        argv=(layout.job_script, files.path, str(generation)),
        directory=os.path.expanduser("~"),
        log=files.log,
        resources=request.resources,
        job=request.job,
    )


def _submitted(latest: Record | None, intention: Record, *, job_id: str) -> Record | None:
    """Note the job's id, without overwriting what the supervisor may already have written."""
    if latest is None or latest.generation != intention.generation:
        return None
    state = rec.SUBMITTED if latest.state == rec.INTENDED else latest.state
    return replace(latest, state=state, job_id=job_id)


def _found_again(scheduler: Scheduler, name: str, *, unclear: SubmitUnclear) -> str:
    """The id of a job whose submit was unclear, looked up by name for as long as it may still appear."""
    deadline = time.monotonic() + planning.AMBIGUOUS_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(SchedulerUnavailable):
            jobs = scheduler.find(name)
            if jobs:
                return jobs[0].job_id
        time.sleep(1.0)
    raise SubmitUnclear(f"{unclear}. No job called {name} has appeared yet; run the same command again to look for it")


def _conclude(files: SessionFiles, generation: int, *, how: str, reason: str) -> None:
    """Write the end of a session, unless its supervisor or a newer generation has spoken."""

    def change(latest: Record | None) -> Record | None:
        if latest is None or latest.generation != generation or latest.state == rec.ENDED:
            return None
        return rec.ended(latest, how=how, reason=reason)

    rec.update(files.record, change)


def wait(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> View:
    """Watch the session until it is ready or over, or has been in a new state for a moment, or ``seconds`` are over.

    The record is read ten times a second; the scheduler is asked ever more seldom, down to twice a minute.
    A job that can never start is cancelled, and its session ended with the scheduler's own reason.
    """
    deadline = time.monotonic() + seconds
    first = current = look(layout, name, scheduler)
    changed_at = time.monotonic()
    pauses = list(_QUERY_PAUSES)
    while not current.is_final and time.monotonic() < deadline:
        if current.hopeless:
            return _withdraw(layout, name, scheduler, current)
        if current.state not in (first.state, rec.UNKNOWN) and time.monotonic() - changed_at > _SETTLED_SECONDS:
            break
        pause = pauses.pop(0) if len(pauses) > 1 else pauses[0]
        _watch(layout, name, until=min(deadline, time.monotonic() + pause))
        previous, current = current, look(layout, name, scheduler)
        changed_at = changed_at if current.state == previous.state else time.monotonic()
    return _settle(layout, name, current)


def _watch(layout: Layout, name: str, *, until: float) -> None:
    """Return as soon as the record changes."""
    path = layout.session(name).record
    before = rec.read(path)
    while time.monotonic() < until and rec.read(path) == before:
        time.sleep(_WATCH_SECONDS)


def _withdraw(layout: Layout, name: str, scheduler: Scheduler, current: View) -> View:
    record = current.record
    if record is None:
        return current
    scheduler.cancel(record.job_id)
    reason = f"the job can never start ({record.reason}), so it was withdrawn"
    _conclude(layout.session(name), record.generation, how="failed", reason=reason)
    return View(rec.read(layout.session(name).record))


def _settle(layout: Layout, name: str, current: View) -> View:
    """Keep in the record what the scheduler said of a job that ended without its supervisor's word."""
    record = current.record
    if record is not None and record.state == rec.ENDED:
        _conclude(layout.session(name), record.generation, how=record.how, reason=record.reason)
        return View(rec.read(layout.session(name).record))
    return current


def decide_stop(layout: Layout, name: str, scheduler: Scheduler) -> tuple[View, list[str]]:
    """What ``stop`` would end: the session as it is, and the ids of its jobs. Changes nothing."""
    observed = observe(layout, name, scheduler, by_name=True)
    if observed.trouble:
        raise SchedulerUnavailable(f"{scheduler.name} cannot be asked, so nothing was stopped: {observed.trouble}")
    recorded = [observed.job] if observed.job is not None and observed.job.phase != GONE else []
    jobs = {job.job_id: job for job in (*recorded, *observed.named)}
    return planning.view(observed), list(jobs)


def stop(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> Outcome:
    """End the session's job, whichever it is found by, and wait until it is gone.

    Raises ``SchedulerUnavailable`` if that cannot be made sure of within ``seconds``.
    """
    files = layout.session(name)
    if not os.path.isdir(files.path):
        return _stop_without_record(layout, name, scheduler, seconds=seconds)
    with _held_even_when_full(files, name):
        before, jobs = decide_stop(layout, name, scheduler)
        for job_id in jobs:
            scheduler.cancel(job_id)
        _await_gone(scheduler, jobs, seconds=seconds)
        if before.record is not None:
            _conclude(files, before.record.generation, how="stopped", reason="stopped by its owner")
        asking.forget_landings(files)
        return Outcome(before, View(rec.read(files.record)), changed=bool(jobs))


def _stop_without_record(layout: Layout, name: str, scheduler: Scheduler, *, seconds: float) -> Outcome:
    """End jobs of a session whose directory is gone; there is nothing to lock and nothing to write."""
    if not os.path.isdir(layout.root):
        return Outcome(View(None), View(None), changed=False)
    _before, jobs = decide_stop(layout, name, scheduler)
    for job_id in jobs:
        scheduler.cancel(job_id)
    _await_gone(scheduler, jobs, seconds=seconds)
    return Outcome(View(None), View(None), changed=bool(jobs))


@contextlib.contextmanager
def _held_even_when_full(files: SessionFiles, name: str) -> Iterator[None]:
    """The session's lock; where the disk has no room for it, a job must be stoppable all the same."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(held(files.lock, wait_seconds=_LOCK_WAIT_SECONDS, what=f"session {name}"))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        yield


def _await_gone(scheduler: Scheduler, jobs: list[str], *, seconds: float) -> None:
    """Wait until the scheduler has forgotten or finished ``jobs``; one that it still cleans up at the end counts."""
    deadline = time.monotonic() + seconds
    for job_id in jobs:
        phase = scheduler.query(job_id).phase
        while phase != GONE and time.monotonic() < deadline:
            time.sleep(0.2)
            phase = scheduler.query(job_id).phase
        if phase in (PENDING, RUNNING):
            raise HpcJupyterError(f"job {job_id} was cancelled but is still {phase} after {seconds:.0f} seconds")


def check_set_up(layout: Layout, *, account: str) -> None:
    """Raise ``NotSetUp`` unless the roles have been here."""
    for path in (layout.job_script, layout.command, layout.environment_script):
        if not os.path.exists(path):
            raise NotSetUp(
                f"{account} is not set up: {path} is missing. "
                f"Run: hpc-jupyter setup {account} (or: ansible-playbook hpc.jupyter.setup --limit {account})"
            )


def _check(request: Request, layout: Layout, scheduler: Scheduler) -> None:
    """Refuse what cannot work here before anything is written or submitted."""
    check_set_up(layout, account=request.account)
    scheduler.check(request.resources)
    if request.offer == "reverse" and scheduler.name == "none":
        raise BadInput("offer", "'reverse' needs a node of its own, and sessions run on the login host here",
                       hint="Leave hpc_route at auto or node")
    if request.job:
        scheduler.check_job(request.job)
    path = os.path.expanduser(request.directory or "~")
    if not os.path.isdir(path):
        raise BadInput("directory", f"{path} is not a directory on {socket.gethostname()}")

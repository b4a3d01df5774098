# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a session's job: the intention is written before the act, and an unclear act is looked up by name."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import socket
import time
from dataclasses import replace

from ansible_collections.hpc.jupyter.plugins.module_utils import asking, node, wishes
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    HpcJupyterError,
    SchedulerUnavailable,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.files import check_room, write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.observing import conclude, job_name
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import Plan
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, Job, Order, Scheduler
from ansible_collections.hpc.jupyter.plugins.module_utils.wishes import Landing, Wish


class RecordMoved(HpcJupyterError):
    """The record is not the one that the plan was made from: a job has taken the session meanwhile."""


def adopt(job: Job, request: Request, layout: Layout) -> None:
    """Make a job that was found by its name the session's own, whichever submit it came from."""
    files = layout.session(request.session)
    known = rec.read(files.record) or replace(_blank(request, files), race="")
    rec.update(files.record, lambda latest: replace(_revived(latest or known, job), job_id=job.job_id))


def _revived(record: Record, job: Job) -> Record:
    """What the record says of a run it may go on saying, if that is one of this job."""
    same = record.job_id in ("", job.job_id) and record.state not in (rec.INTENDED, rec.ENDED)
    return record if same else replace(record, state=rec.SUBMITTED, how="", reason="", node="", pid=0)


def submit(decided: Plan, request: Request, layout: Layout, scheduler: Scheduler) -> None:
    """Submit the session's job; raises ``RecordMoved`` if that is not what has to be done any more."""
    files = layout.session(request.session)
    check_room(files.path)
    intention = _intend(request, files, planned=decided.record)
    order = _order(request, layout, generation=intention.generation)
    try:
        _prepare(request, files, generation=intention.generation)
        job_id = scheduler.submit(order)
    except SubmitUnclear as error:
        job_id = _found_again(scheduler, order.name, unclear=error)
    except (HpcJupyterError, OSError) as error:
        with contextlib.suppress(OSError):
            conclude(files, intention.generation, how="failed", reason=str(error))
        raise
    _note(files, intention, job_id=job_id)


def _note(files: SessionFiles, intention: Record, *, job_id: str) -> None:
    try:
        rec.update(files.record, lambda latest: _submitted(latest, intention, job_id=job_id))
    except OSError as error:
        raise SubmitUnclear(
            f"job {job_id} was submitted, but {files.record} could not be written: {error.strerror}. Put that right "
            "and run the same command again: it finds the job"
        ) from error


def _intend(request: Request, files: SessionFiles, *, planned: Record | None) -> Record:
    """Write down what is about to be done before it is done; from then on an earlier submit's job steps back."""
    blank = _blank(request, files)

    def change(latest: Record | None) -> Record:
        if _key(latest) != _key(planned):
            raise RecordMoved(f"{files.record} was changed by a job of the session")
        return replace(blank, generation=(latest.generation if latest else 0) + 1)

    intention = rec.update(files.record, change)
    return intention or blank


def _key(record: Record | None) -> object:
    return (record.generation, record.state, record.job_id) if record else None


def _prepare(request: Request, files: SessionFiles, *, generation: int) -> None:
    """All that the job of this generation will read, with fresh secrets."""
    write_private(files.token, base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"="))
    write_private(files.cookie_secret, secrets.token_bytes(64))
    write_private(files.request, request.to_json())
    wishes.write(files.wish, Wish("", generation, "", _landing(request, files)))
    write_private(files.log, b"")


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
        interface=request.interface, race=request.race,
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
    deadline = time.monotonic() + scheduler.unclear_seconds()
    while time.monotonic() < deadline:
        with contextlib.suppress(SchedulerUnavailable):
            jobs = [job for job in scheduler.find(name) if job.phase != ENDING]
            if jobs:
                return jobs[0].job_id
        time.sleep(1.0)
    raise SubmitUnclear(f"{unclear}. No job called {name} has appeared yet; run the same command again to look for it")

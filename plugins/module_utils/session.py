# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One session on one account: observe it, find or submit it, wait for it, stop it.

Everything here runs on the account, as the account; the caller turns ``HpcJupyterError`` into its own kind of failure.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import replace

from ansible_collections.hpc.jupyter.plugins.module_utils import plan as planning
from ansible_collections.hpc.jupyter.plugins.module_utils import race
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    Busy,
    HpcJupyterError,
    NotSetUp,
    SchedulerUnavailable,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.files import FULL, make_private_directory, sweep
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.lock import held
from ansible_collections.hpc.jupyter.plugins.module_utils.observing import job_name, look, names, observe
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import DEBRIS_SECONDS, LOCK_WAIT_SECONDS, Outcome, Plan
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler
from ansible_collections.hpc.jupyter.plugins.module_utils.submitting import RecordMoved, adopt, submit
from ansible_collections.hpc.jupyter.plugins.module_utils.waiting import wait

_ENDING_SECONDS = 30.0
_TRIES = 5
_SLOWEST_LOOK_SECONDS = 2.0

__all__ = [
    "check_set_up", "decide", "find_or_submit", "job_name", "look", "names", "observe", "wait",
]


def decide(request: Request, layout: Layout, scheduler: Scheduler) -> Plan:
    """What ``find_or_submit`` would do; changes nothing."""
    _check(request, layout, scheduler)
    return planning.plan(observe(layout, request.session, scheduler, by_name=True))


def find_or_submit(request: Request, layout: Layout, scheduler: Scheduler) -> Outcome:
    """The session that ``request`` names: the one that lives, or a new one; at most one job, whoever else asks."""
    _check(request, layout, scheduler)
    files = layout.session(request.session)
    try:
        with contextlib.suppress(FileNotFoundError):  # a cleaning took the directory, and our lock, while we waited
            return _find_or_submit(request, layout, scheduler)
        return _find_or_submit(request, layout, scheduler)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise HpcJupyterError(
            f"there is no room for the session's files in {files.path} on {socket.gethostname()}: {error.strerror}. "
            "Nothing was submitted; make room in the home directory and try again"
        ) from error


def _find_or_submit(request: Request, layout: Layout, scheduler: Scheduler) -> Outcome:
    files = layout.session(request.session)
    make_private_directory(files.path)
    with held(files.lock, wait_seconds=LOCK_WAIT_SECONDS, what=f"session {request.session}"):
        sweep(files.path, older_than_seconds=DEBRIS_SECONDS)
        for _each in range(_TRIES):
            with contextlib.suppress(RecordMoved):
                return _act(_settled_plan(request, layout, scheduler), request, layout, scheduler)
    raise Busy(f"session {request.session} keeps changing; try again when it has settled")


def _settled_plan(request: Request, layout: Layout, scheduler: Scheduler) -> Plan:
    """The plan once an earlier, unclear submit has either shown its job or had its time."""
    began, pause = time.monotonic(), 0.3
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
        if time.monotonic() - began > max(observed.unclear_seconds, _ENDING_SECONDS) + 5:
            return replace(decided, action=planning.SUBMIT)
        time.sleep(pause)
        pause = min(_SLOWEST_LOOK_SECONDS, pause * 1.5)


def _act(decided: Plan, request: Request, layout: Layout, scheduler: Scheduler) -> Outcome:
    for job in decided.doubles:
        scheduler.cancel(job.job_id)
    if decided.action == planning.KEEP:
        if decided.job is not None:
            adopt(decided.job, request, layout)
        _claim(request, layout)
        return Outcome(decided.view, decided.view, changed=False)
    if decided.action == planning.ADOPT and decided.job is not None:
        adopt(decided.job, request, layout)
    else:
        submit(decided, request, layout, scheduler)
    return Outcome(decided.view, look(layout, request.session, scheduler), changed=True)


def _claim(request: Request, layout: Layout) -> None:
    """Who asks for this session, and not for whichever is first, has come for it."""
    files = layout.session(request.session)
    latest = None if request.race else rec.read(files.record)
    if latest is not None:
        race.claim(files, latest)


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

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules answer: the options that name an account and a job, and failures in words for the user."""

from __future__ import annotations

import os
from typing import Any, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.asking import NotRunning
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    Busy,
    HpcJupyterError,
    NotSetUp,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.files import FULL
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, default_root
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record

_LOG_LINES = 15


class SessionFailed(HpcJupyterError):
    """A session that was asked for has ended or cannot be seen; ``view`` says how."""

    def __init__(self, message: str, *, view: View, log_tail: list[str]) -> None:
        self.view = view
        self.log_tail = log_tail
        super().__init__(message)


class HubPreferred(HpcJupyterError):
    """A new session is better had from the site's JupyterHub."""


_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (SessionFailed, "failed"), (SubmitRefused, "refused"), (SchedulerUnavailable, "unavailable"),
    (SubmitUnclear, "unavailable"), (Busy, "busy"), (BadInput, "bad_input"), (HubPreferred, "bad_input"),
    (NotSetUp, "not_set_up"), (NotRunning, "no_session"),
)
"""What a failure is called in a module's answer, for programs."""


def layout_of(params: Mapping[str, Any]) -> Layout:
    """The account's directory that the options name."""
    return Layout.at(params["root"] or default_root(params["cluster"]))


def expect_alive(view: View, *, layout: Layout) -> View:
    """``view``, if its session is on the way or there; raises ``SessionFailed`` with the log's last lines if not."""
    record = view.record
    if record is None or record.state != rec.ENDED:
        return view
    from ansible_collections.hpc.jupyter.plugins.module_utils import job_log

    lines = job_log.tail(layout.session(record.session).log, lines=_LOG_LINES)
    raise SessionFailed(_failure_text(record), view=view, log_tail=lines)


def _failure_text(record: Record) -> str:
    which = f"session {record.session} of {record.account}" + (f" (job {record.job_id})" if record.job_id else "")
    where = f" on {record.node}" if record.node else ""
    return f"{which} ended{where} before it was ready: {record.reason or record.how}"


def failure(error: Exception) -> dict[str, Any]:
    """The arguments of ``fail_json`` for ``error``."""
    kind = next((kind for known, kind in _KINDS if isinstance(error, known)), "error")
    if isinstance(error, SessionFailed):
        return {"msg": str(error), "kind": kind, "session": error.view.to_dict(), "log_tail": error.log_tail}
    return {"msg": os_error_text(error) if isinstance(error, OSError) else str(error), "kind": kind}


def os_error_text(error: OSError) -> str:
    """What the system refused, on which host, and what to do where a disk is full."""
    where = f"{error.filename}: " if error.filename else ""
    text = f"on {os.uname().nodename}: {where}{error.strerror or error}"
    return f"{text}. Make room in the home directory and try again" if error.errno in FULL else text

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verbs of ``hpc-session`` share: which account this is, how answers and failures are given.

The command's directory, symbolic links resolved, is the account's directory. It is called as ``account.json`` calls it,
if that is the same: jobs are named after it, and a home may be reached over a link.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import sys
from dataclasses import asdict, dataclass
from typing import Callable, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import idle, session, words
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.asking import NotRunning
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    Busy,
    HpcJupyterError,
    NotSetUp,
    SchedulerUnavailable,
    SubmitRefused,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

OK, FAILED, BAD_INPUT, UNREACHABLE, NO_SESSION, SESSION_FAILED, WAITING, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 8, 130
"""Exit codes; they mean what those of ``hpc-jupyter`` mean."""

_EXIT_OF = ((BadInput, BAD_INPUT), (Busy, BUSY), (SchedulerUnavailable, UNREACHABLE), (SubmitRefused, SESSION_FAILED),
            (NotRunning, NO_SESSION))
_NONCE = re.compile(r"[A-Za-z0-9]{8,64}")


class NoSession(HpcJupyterError):
    """There is no such session, or it is over."""


class Failed(HpcJupyterError):
    """The session ended before it was ready."""


@dataclass(frozen=True)
class Account:
    """Where this command is and what ``account.json`` beside it says."""

    layout: Layout
    account: str
    cluster: str
    scheduler: Scheduler
    tls: str
    idle_limit: str = str(idle.LIMIT_SECONDS)
    version: str = ""
    """The release that has set the account up."""


def tell(text: str) -> None:
    """One line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def exit_code(error: HpcJupyterError) -> int:
    """The exit code for what went wrong."""
    if isinstance(error, NoSession):
        return NO_SESSION
    if isinstance(error, Failed):
        return SESSION_FAILED
    return next((code for kind, code in _EXIT_OF if isinstance(error, kind)), FAILED)


def account_here() -> Account:
    """The account whose directory this command lies in; raises ``NotSetUp``."""
    layout = Layout(os.path.dirname(os.path.realpath(sys.argv[0])))
    try:
        with open(layout.account, "rb") as stream:
            facts = json.loads(stream.read().decode("utf-8"))
        kind = str(facts["scheduler"])
        layout = Layout(_as_set_up(str(facts.get("root", "")), layout.root))
        scheduler = by_name(kind, root=layout.root, detach=str(facts.get("detach", "setsid")), site=facts)
        return Account(
            layout, str(facts["account"]), str(facts["cluster"]), scheduler, str(facts.get("tls", "auto")),
            str(facts.get("idle_limit_seconds", idle.LIMIT_SECONDS)), str(facts.get("version", "")),
        )
    except FileNotFoundError as error:
        raise NotSetUp(f"{layout.account} is missing: set the account up (playbook hpc.jupyter.setup)") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotSetUp(f"{layout.account} is damaged: set the account up again (playbook hpc.jupyter.setup)") from error


def _as_set_up(named: str, here: str) -> str:
    """``named``, if it is another path to ``here``."""
    try:
        return named if os.path.isabs(named) and os.path.samefile(named, here) else here
    except OSError:
        return here


def name_of(options: argparse.Namespace) -> str:
    """The session that is meant."""
    return session_name(options.session or "default")


def framed(options: argparse.Namespace, answer: Callable[[Account], dict[str, object]]) -> int:
    """One line for a program that reads past whatever a login's shell prints: ``NONCE JSON``; failures too.

    It tells besides which release has set the account up.
    """
    nonce = checked_nonce(options)
    told, code = answered(answer)
    frame(nonce, told)
    return code


def checked_nonce(options: argparse.Namespace) -> str:
    """The nonce that frames the answers; raises ``BadInput``."""
    if _NONCE.fullmatch(options.nonce) is None:
        raise BadInput("nonce", f"{options.nonce!r} is not 8 to 64 letters and digits")
    return str(options.nonce)


def frame(nonce: str, told: Mapping[str, object]) -> None:
    """One answer, on a line of its own even if the shell has left one unfinished."""
    tell(f"\n{nonce} {json.dumps(told)}")


def answered(answer: Callable[[Account], dict[str, object]]) -> tuple[dict[str, object], int]:
    """What there is to tell, with the account's release, and the exit code; a failure is told too."""
    version, code = "", OK
    try:
        account = account_here()
        version = account.version
        told = answer(account)
    except HpcJupyterError as error:
        told, code = {"error": str(error)}, exit_code(error)
    except OSError as error:
        told, code = {"error": str(error)}, FAILED
    return {**told, "version": version}, code


def recorded(account: Account, name: str, *, patient: bool = False) -> Record:
    """The session as the scheduler confirms it; where it cannot say, as recorded: the server's own answer decides.

    Who is ``patient`` gets ``Busy`` in place of an end that may not be one.
    """
    view = session.look(account.layout, name, account.scheduler)
    seen = view.record
    if patient and view.may_go_on and seen is not None:
        raise Busy(f"session {name} was told to end; its job {seen.job_id} still ends and may be put back into the "
                   "queue. Try again in a moment")
    record = rec.read(account.layout.session(name).record) if seen and seen.state == rec.UNKNOWN else seen
    if record is None:
        raise NoSession(f"there is no session {name} of {account.account}")
    return record


def token_of(account: Account, name: str) -> str:
    """The session's token."""
    with open(account.layout.session(name).token, encoding="ascii") as stream:
        return stream.read().strip()


def way_to(record: Record, token: str) -> dict[str, object]:
    """What leads a client to a session, from the login host that it has reached."""
    return {"record": asdict(record), "token": token, "host": socket.gethostname()}


def line(view: View) -> str:
    """The session in one line."""
    return words.line(view.to_dict()) if view.record else "no session"


def option(record: Record) -> str:
    """How the session is named on a command line to copy."""
    return "" if record.session == "default" else f" --session {record.session}"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's own command, ``hpc-session``: sessions from any client that can log in, without Ansible.

Its directory, symbolic links resolved, is the account's directory; nothing else says where that is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, fields
from typing import Any, Callable, NoReturn, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import session, words
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    Busy,
    HpcJupyterError,
    NotSetUp,
    SchedulerUnavailable,
    SubmitRefused,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import INTERFACES, page_of
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION, Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request, Resources, build, session_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

OK, FAILED, BAD_INPUT, UNREACHABLE, NO_SESSION, SESSION_FAILED, WAITING, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 8, 130
"""Exit codes; they mean what those of ``hpc-jupyter`` mean."""

_EXIT_OF = ((BadInput, BAD_INPUT), (Busy, BUSY), (SchedulerUnavailable, UNREACHABLE), (SubmitRefused, SESSION_FAILED))
_STOP_SECONDS = 60.0
_NONCE = re.compile(r"[A-Za-z0-9]{8,64}")
_EXAMPLE = """examples:
  hpc-session start --time 2:00:00 --cpus 4 --memory 8G
  hpc-session status
  hpc-session url
  hpc-session stop

exit codes: 0 done, 1 failed, 2 a bad option, 3 the scheduler does not answer, 4 no such session,
  5 the session failed, 6 still waiting, 8 busy, 130 interrupted"""


class _NoSession(HpcJupyterError):
    """There is no such session, or it is over."""


class _Failed(HpcJupyterError):
    """The session ended before it was ready."""


@dataclass(frozen=True)
class _Account:
    """Where this command is and what ``account.json`` beside it says."""

    layout: Layout
    account: str
    cluster: str
    scheduler: Scheduler


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code. What goes wrong is one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["supervise"]:
            return _supervise(given[1:])
        options = _parser().parse_args(given)
        return int(options.run(options))
    except HpcJupyterError as error:
        return _fail(str(error), code=_exit_code(error))
    except KeyboardInterrupt:
        return _fail("interrupted; a job that was submitted stays: see `hpc-session status`", code=INTERRUPTED)
    except OSError as error:
        return _fail(str(error), code=FAILED)


def _fail(text: str, *, code: int) -> int:
    sys.stderr.write(f"hpc-session: {text}\n")
    return code


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _exit_code(error: HpcJupyterError) -> int:
    if isinstance(error, _NoSession):
        return NO_SESSION
    if isinstance(error, _Failed):
        return SESSION_FAILED
    return next((code for kind, code in _EXIT_OF if isinstance(error, kind)), FAILED)


class _Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with the code for a bad option."""
        self.exit(BAD_INPUT, f"hpc-session: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="hpc-session", description="JupyterLab sessions of this account.", epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hpc-session {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    _add_start(_verb(verbs, "start", _start, "find the session, or submit a job for it"))
    status = _verb(verbs, "status", _status, "say where the sessions are")
    status.add_argument("--json", action="store_true", help="print a list of JSON objects")
    _verb(verbs, "stop", _stop, "end the session's job")
    url = _verb(verbs, "url", _url, "print the session's URL with its token: keep it to yourself")
    url.add_argument("--port", type=int, help="the port of 127.0.0.1 on your computer that you forward (default: 8888)")
    attach = _verb(verbs, "attach", _attach, "for hpc-jupyter: the record and the token, framed by a nonce")
    attach.add_argument("--nonce", required=True)
    return parser


def _verb(verbs: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
    made.set_defaults(run=run)
    made.add_argument("--session", metavar="NAME", help="the session's name (default: default)")
    return made


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: hpc-session start --time 2:00:00 --cpus 4 --memory 8G --gpus 1 --partition gpu"
    for item in fields(Resources):
        option = f"--{item.name.replace('_', '-')}"
        if item.name == "exclusive":
            parser.add_argument(option, action="store_true", help="the whole node")
        elif item.name == "extra":
            parser.add_argument(option, action="append", metavar="OPTION", help="a scheduler's option; repeatable")
        else:
            parser.add_argument(option, metavar=_METAVARS.get(item.name, item.name.upper()))
    parser.add_argument("--directory", default="", help="where notebooks open (default: the home directory)")
    parser.add_argument("--job", default="", metavar="ID", help="run in a job that you have already, as after salloc")
    parser.add_argument("--interface", default="lab", choices=tuple(INTERFACES), help="what opens (default: lab)")
    parser.add_argument("--nice", default=0, metavar="N", help="stand back for others on the node, 0 to 19")
    parser.add_argument("--idle-seconds", default=0, metavar="N", help="stop when nobody uses it for N seconds")
    parser.add_argument("--startup-seconds", default=180, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--offer", default="socket", choices=("socket", "loopback"),
                        help="listen on a Unix socket, or on a port of 127.0.0.1 of this very machine")
    parser.add_argument("--wait", type=float, default=600, metavar="SECONDS", help="how long to wait (default: 600)")


_METAVARS = {"time": "[D-]H:MM:SS", "memory": "8G", "cpus": "N", "gpus": "[TYPE:]N", "nodes": "N"}


def _supervise(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or not arguments[1].isdigit():
        raise BadInput("supervise", "takes SESSION_DIR and GENERATION; the job script calls it")
    from ansible_collections.hpc.jupyter.plugins.module_utils.supervisor import supervise

    return supervise(arguments[0], int(arguments[1]))


def _account() -> _Account:
    layout = Layout(os.path.dirname(os.path.realpath(sys.argv[0])))
    try:
        with open(layout.account, "rb") as stream:
            facts = json.loads(stream.read().decode("utf-8"))
        scheduler = by_name(
            str(facts["scheduler"]), root=layout.root, detach=str(facts.get("detach", "setsid"))
        )
        return _Account(layout, str(facts["account"]), str(facts["cluster"]), scheduler)
    except FileNotFoundError as error:
        raise NotSetUp(f"{layout.account} is missing: set the account up (playbook hpc.jupyter.setup)") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NotSetUp(f"{layout.account} is damaged: set the account up again (playbook hpc.jupyter.setup)") from error


def _name(options: argparse.Namespace) -> str:
    return session_name(options.session or "default")


def _start(options: argparse.Namespace) -> int:
    account = _account()
    request = _request(options, account)
    done = session.find_or_submit(request, account.layout, account.scheduler)
    if not done.changed:
        _tell(f"found: {_line(done.after)}")
    return _report(_wait(account, request.session, done.after, seconds=options.wait))


def _request(options: argparse.Namespace, account: _Account) -> Request:
    resources = {item.name: getattr(options, item.name) for item in fields(Resources)}
    return build(
        session=_name(options), account=account.account, cluster=account.cluster, scheduler=account.scheduler.name,
        resources=resources, directory=options.directory, offer=options.offer, idle_seconds=options.idle_seconds,
        startup_seconds=options.startup_seconds, interface=options.interface, nice=options.nice,
        job=options.job,
    )


def _wait(account: _Account, name: str, seen: View, *, seconds: float) -> View:
    """Wait until the session is ready or over, one line for every change."""
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        line = _line(seen)
        if line != said:
            _tell(line)
            said = line
        if seen.is_final or time.monotonic() > deadline:
            return seen
        left = max(0.0, deadline - time.monotonic())
        seen = session.wait(account.layout, name, account.scheduler, seconds=min(20.0, left))


def _report(seen: View) -> int:
    record = seen.record
    if record is None or record.state == rec.ENDED:
        reason = (record.reason or record.how) if record else "its record is gone"
        log = f"; its log: {record.log}" if record and record.log else ""
        raise _Failed(f"the session ended before it was ready: {reason}{log}")
    if record.state != rec.READY:
        _tell("it goes on; look again with: hpc-session status")
        return WAITING
    _tell(f"its URL: hpc-session url{_option(record)}; stop it: hpc-session stop{_option(record)}")
    return OK


def _option(record: Record) -> str:
    return "" if record.session == "default" else f" --session {record.session}"


def _status(options: argparse.Namespace) -> int:
    account = _account()
    wanted = [_name(options)] if options.session else session.names(account.layout)
    seen = [session.look(account.layout, name, account.scheduler) for name in wanted]
    known = [view for view in seen if view.record is not None]
    if options.session and not known:
        raise _NoSession(f"there is no session {wanted[0]}; start it with: hpc-session start --session {wanted[0]}")
    if options.json:
        _tell(json.dumps([view.to_dict() for view in known], indent=2))
    else:
        _tell("\n".join(_line(view) for view in known) or "there are no sessions; start one with: hpc-session start")
    return OK


def _stop(options: argparse.Namespace) -> int:
    account = _account()
    name = _name(options)
    done = session.stop(account.layout, name, account.scheduler, seconds=_STOP_SECONDS)
    job = f" (job {done.before.record.job_id})" if done.before.record and done.before.record.job_id else ""
    _tell(f"session {name} is stopped{job}" if done.changed else f"session {name} does not run: nothing to stop")
    return OK


def _url(options: argparse.Namespace) -> int:
    account = _account()
    record, token = _ready(account, _name(options))
    if options.port is not None and not 1 <= options.port <= 65535:
        raise BadInput("port", f"{options.port} is not a port", hint="Use 1 to 65535")
    port = options.port or record.port or 8888
    if record.socket and sys.stdout.isatty():
        way = f"ssh -N -L 127.0.0.1:{port}:{record.socket} -J {record.login_host} {record.node}"
        sys.stderr.write(f"forward it on your computer: {way}\n")
    _tell(f"http://127.0.0.1:{port}{record.base_url}{page_of(asdict(record))}?token={token}")
    return OK


def _ready(account: _Account, name: str) -> tuple[Record, str]:
    record = _recorded(account, name)
    if record.state != rec.READY:
        raise _NoSession(f"{_line(View(record))}: it has no URL; see `hpc-session status{_option(record)}`")
    return record, _token(account, name)


def _recorded(account: _Account, name: str) -> Record:
    """The session as the scheduler confirms it; where it cannot say, as recorded: the server's own answer decides."""
    seen = session.look(account.layout, name, account.scheduler).record
    record = rec.read(account.layout.session(name).record) if seen and seen.state == rec.UNKNOWN else seen
    if record is None:
        raise _NoSession(f"there is no session {name} of {account.account}")
    return record


def _token(account: _Account, name: str) -> str:
    with open(account.layout.session(name).token, encoding="ascii") as stream:
        return stream.read()


def _attach(options: argparse.Namespace) -> int:
    """One line for a program that reads past whatever a login's shell prints: ``NONCE JSON``."""
    if _NONCE.fullmatch(options.nonce) is None:
        raise BadInput("nonce", f"{options.nonce!r} is not 8 to 64 letters and digits")
    answer, code = _attached(options)
    # The line starts a line of its own even if the shell has left one unfinished.
    _tell(f"\n{options.nonce} {json.dumps(answer)}")
    return code


def _attached(options: argparse.Namespace) -> tuple[dict[str, object], int]:
    try:
        account = _account()
        record = _recorded(account, _name(options))
        token = _token(account, record.session) if record.state == rec.READY else ""
    except HpcJupyterError as error:
        return {"error": str(error)}, _exit_code(error)
    except OSError as error:
        return {"error": str(error)}, FAILED
    return {"record": asdict(record), "token": token}, OK


def _line(view: View) -> str:
    return words.line(view.to_dict()) if view.record else "no session"

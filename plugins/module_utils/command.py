# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's own command, ``hpc-session``: sessions from any client that can log in, without Ansible.

Its directory, symbolic links resolved, is the account's directory; nothing else says where that is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, fields
from typing import Any, Callable, NoReturn, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import (
    idle,
    reach,
    session,
    wishes,
    words,
)
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.answers import os_error_text
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import INTERFACES
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.request import OFFERS, TLS, Request, Resources, build
from ansible_collections.hpc.jupyter.plugins.module_utils.verbs import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    OK,
    WAITING,
    Account,
    Failed,
    NoSession,
    account_here,
    exit_code,
    line,
    name_of,
    option,
    tell,
)

# Somebody waits for the answer to ``attach``, and most others need little: what one verb alone needs is imported there.

_STOP_SECONDS = 60.0
_TURN_SECONDS = 120.0
_EXAMPLE = """examples:
  hpc-session start --time 2:00:00 --cpus 4 --memory 8G
  hpc-session status
  hpc-session url
  hpc-session stop

exit codes: 0 done, 1 failed, 2 a bad option, 3 the scheduler does not answer, 4 no such session,
  5 the session failed, 6 still waiting, 8 busy, 130 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code. What goes wrong is one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["supervise"]:  # else it would not have come here, see ``entry.py``
            raise BadInput("supervise", "takes SESSION_DIR and GENERATION; the job script calls it")
        if given[:1] == ["ends"]:
            return _ends(given[1:])
        options = _parser().parse_args(given)
        return int(options.run(options))
    except HpcJupyterError as error:
        return _fail(str(error), code=exit_code(error))
    except KeyboardInterrupt:
        return _fail("interrupted; a job that was submitted stays: see `hpc-session status`", code=INTERRUPTED)
    except OSError as error:
        return _fail(os_error_text(error), code=FAILED)


def _fail(text: str, *, code: int) -> int:
    sys.stderr.write(f"hpc-session: {text}\n")
    return code


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
    clean = _verb(verbs, "clean", _clean, "remove what ended sessions and killed processes have left on this host")
    clean.add_argument("--check", action="store_true", help="only say what would be removed")
    _verb(verbs, "restart", reach.restart, "start Jupyter anew in the same job; kernels and their variables are lost")
    url = _verb(verbs, "url", reach.url, "print the session's URL with its token: keep it to yourself")
    url.add_argument("--port", type=int, help="the port of 127.0.0.1 on your computer that you forward (default: 8888)")
    attach = _verb(verbs, "attach", reach.attach, "for hpc-jupyter: the record and the token, framed by a nonce")
    attach.add_argument("--follow", type=float, metavar="SECONDS",
                        help="for hpc-jupyter: tell again as the session starts, until it is ready or stdin is closed")
    where = _verb(verbs, "where", reach.where, "for hpc-jupyter: this login host, and the one that a session needs")
    offer = _verb(verbs, "offer", reach.offer, "for hpc-jupyter: have the running session offered another way")
    offer.add_argument("way", choices=wishes.OFFERS)
    step = _verb(verbs, "step", reach.step, "for hpc-jupyter: an sshd in the session's job, over stdin and stdout")
    step.add_argument("--key", required=True)
    step.add_argument("--permit", action="append", default=[], metavar="PORT")
    for framed in (attach, where, offer):
        framed.add_argument("--nonce", required=True)
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
    parser.add_argument("--idle-seconds", default="", metavar="N",
                        help=f"stop when nobody uses it for N seconds; 0: never (default: {idle.DEFAULT_SECONDS})")
    parser.add_argument("--startup-seconds", default=180, metavar="N", help=argparse.SUPPRESS)
    parser.add_argument("--offer", default="socket", choices=OFFERS,
                        help="listen on a Unix socket of the node (the default), on a port of 127.0.0.1 of this very "
                        "machine, on a port of the node's address, or on a socket that the node makes on this host")
    parser.add_argument("--tls", choices=TLS, help="when to speak https (default: as the account was set up)")
    parser.add_argument("--wait", type=float, default=600, metavar="SECONDS", help="how long to wait (default: 600)")


_METAVARS = {"time": "[D-]H:MM:SS", "memory": "8G", "cpus": "N", "gpus": "[TYPE:]N", "nodes": "N"}


def _ends(arguments: Sequence[str]) -> int:
    """When the time of a job is over, on a line of its own; the supervisor asks that in a process of its own."""
    if len(arguments) != 1:
        raise BadInput("ends", "takes the number of a job; the supervisor calls it")
    tell(account_here().scheduler.query(arguments[0]).ends_at)
    return OK


def _start(options: argparse.Namespace) -> int:
    account = account_here()
    request = _request(options, account)
    done = session.find_or_submit(request, account.layout, account.scheduler)
    if not done.changed:
        tell(f"found: {line(done.after)}")
    return _report(_wait(account, request.session, done.after, seconds=options.wait))


def _request(options: argparse.Namespace, account: Account) -> Request:
    resources = {item.name: getattr(options, item.name) for item in fields(Resources)}
    return build(
        session=name_of(options), account=account.account, cluster=account.cluster, scheduler=account.scheduler.name,
        resources=resources, directory=options.directory, offer=options.offer, tls=options.tls or account.tls,
        idle_seconds=_idle_seconds(options, account), startup_seconds=options.startup_seconds,
        interface=options.interface, nice=options.nice, job=options.job,
    )


def _idle_seconds(options: argparse.Namespace, account: Account) -> int:
    """What is asked for, within what the account was set up with; a session on one's own machine ends for nothing."""
    own = options.offer == "loopback"
    return idle.allowed(options.idle_seconds, limit=account.idle_limit, local=own, name="--idle-seconds")


def _wait(account: Account, name: str, seen: View, *, seconds: float) -> View:
    """Wait until the session is ready or over, one line for every change."""
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        now = line(seen)
        if now != said:
            tell(now)
            said = now
        if seen.is_final or time.monotonic() > deadline:
            return seen
        left = max(0.0, deadline - time.monotonic())
        seen = session.wait(account.layout, name, account.scheduler, seconds=min(_TURN_SECONDS, left))


def _report(seen: View) -> int:
    record = seen.record
    if record is None or record.state == rec.ENDED:
        reason = (record.reason or record.how) if record else "its record is gone"
        log = f"; its log: {record.log}" if record and record.log else ""
        raise Failed(f"the session ended before it was ready: {reason}{log}")
    if record.state != rec.READY:
        tell("it goes on; look again with: hpc-session status")
        return WAITING
    tell(f"its URL: hpc-session url{option(record)}; stop it: hpc-session stop{option(record)}")
    return OK


def _status(options: argparse.Namespace) -> int:
    account = account_here()
    wanted = [name_of(options)] if options.session else session.names(account.layout)
    seen = [session.look(account.layout, name, account.scheduler) for name in wanted]
    known = [view for view in seen if view.record is not None]
    if options.session and not known:
        raise NoSession(f"there is no session {wanted[0]}; start it with: hpc-session start --session {wanted[0]}")
    if options.json:
        tell(json.dumps([view.to_dict() for view in known], indent=2))
    else:
        tell("\n".join(line(view) for view in known) or "there are no sessions; start one with: hpc-session start")
    return OK


def _stop(options: argparse.Namespace) -> int:
    from ansible_collections.hpc.jupyter.plugins.module_utils import stopping

    account = account_here()
    name = name_of(options)
    done = stopping.stop(account.layout, name, account.scheduler, seconds=_STOP_SECONDS)
    job = f" (job {done.before.record.job_id})" if done.before.record and done.before.record.job_id else ""
    tell(f"session {name} is stopped{job}" if done.changed else f"session {name} does not run: nothing to stop")
    return OK


def _clean(options: argparse.Namespace) -> int:
    from ansible_collections.hpc.jupyter.plugins.module_utils import leftovers

    account = account_here()
    if options.session:
        raise BadInput("session", "clean is for all that is dead", hint="Leave it out")
    whose = {"account": account.account, "cluster": account.cluster}
    names = session.names(account.layout)
    views = {name: leftovers.see(account.layout, name, account.scheduler, **whose) for name in names}
    found = leftovers.find(account.layout, account.scheduler, views)
    done = list(found.dead) if options.check else leftovers.remove(account.layout, account.scheduler, views)
    said = [words.leftover_line(asdict(each)) for each in done]
    untold = [f"cannot tell which jobs there are: {found.untold}"] if found.untold else []
    jobs = [f"not ended: {each.what}; end it with: hpc-session stop --session {each.session}"
            for each in found.leftovers if each not in found.dead]
    verb = "would remove" if options.check else "removed"
    tell("\n".join([*(f"{verb} {line}" for line in said), *untold, *jobs]) or "nothing to do")
    return OK

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of ``hpc-session`` that lead to a session: its URL, and what ``hpc-jupyter`` asks over its login."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from dataclasses import asdict

from ansible_collections.hpc.jupyter.plugins.module_utils import asking, following, race, session
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import page_of
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.verbs import (
    OK,
    Account,
    NoSession,
    account_here,
    framed,
    line,
    name_of,
    option,
    recorded,
    tell,
    token_of,
    way_to,
)

_LOCAL_PORT = 8888
"""The example of a forward to a session that is not on the person's own computer."""


def attach(options: argparse.Namespace) -> int:
    """Record and token, and what becomes of them where that is asked for."""

    def answer(account: Account) -> dict[str, object]:
        return attached(account, name_of(options))

    return framed(options, answer) if options.follow is None else following.follow(options, answer, _where)


def attached(account: Account, name: str) -> dict[str, object]:
    """What a client needs to reach a session, and the name of the login host that it has reached."""
    record = recorded(account, name, patient=True)
    token = token_of(account, record.session) if record.state == rec.READY else ""
    if record.state == rec.READY:
        record = race.claim(account.layout.session(name), record)
    return way_to(record, token)


def offer(options: argparse.Namespace) -> int:
    """Have the running session offered another way."""
    return framed(options, lambda account: _offered(account, name_of(options), options.way))


def _offered(account: Account, name: str, way: str) -> dict[str, object]:
    record = recorded(account, name)
    if record.state not in (rec.STARTING, rec.READY):
        raise NoSession(f"{line(View(record))}: it cannot be offered another way")
    asking.offer(account.layout.session(name), way, environment=os.environ)
    return attached(account, name)


def step(options: argparse.Namespace) -> int:
    """Become the step that runs the session's own sshd: for a ProxyCommand, over standard input and output."""
    from ansible_collections.hpc.jupyter.plugins.module_utils import step as steps

    account = account_here()
    key, permit = steps.check_key(options.key), [steps.port(value) for value in options.permit]
    files = account.layout.session(name_of(options))
    record = rec.read(files.record)
    if record is None or record.state != rec.READY:
        raise NoSession(f"session {name_of(options)} of {account.account} does not run: there is nothing to step into")
    if not record.step_host_key or not record.socket:
        missing = "socket" if record.step_host_key else "sshd of its own"
        raise steps.NoStep(f"session {record.session} of {account.account} has no {missing} to step to; see its log")
    sshd = steps.server(files, key=key, socket=record.socket, permit=permit)
    argv = steps.command(account.scheduler.step_argv(record.job_id, node=record.node, argv=sshd))
    sys.stdout.flush()
    os.execv(argv[0], argv)  # noqa: S606 - its input and output are ours, and nothing of us is left between


def restart(options: argparse.Namespace) -> int:
    """Jupyter anew in the same job."""
    account = account_here()
    record = recorded(account, name_of(options))
    if record.state not in (rec.STARTING, rec.READY):
        raise NoSession(f"{line(View(record))}: there is no Jupyter to start anew")
    asking.restart(account.layout.session(record.session))
    tell(f"session {record.session} has a new Jupyter; its URL is as it was")
    return OK


def where(options: argparse.Namespace) -> int:
    """This login host's name, and the one that a session depends on."""
    return framed(options, _where)


def _where(account: Account) -> dict[str, object]:
    return {"host": socket.gethostname(), "pinned": _pinned(account)}


def _pinned(account: Account) -> dict[str, object] | None:
    """The login host of the newest live session that can be reached through no other; from the records alone."""
    bound = [record for record in _records(account) if _is_bound(record)]
    if not bound:
        return None
    newest = max(bound, key=lambda record: record.submitted_at)
    return {"host": newest.login_host, "host_keys": newest.login_host_keys}


def _records(account: Account) -> list[Record]:
    """The records that can be read; one that cannot says nothing of where its session is."""
    found = []
    for name in session.names(account.layout):
        with contextlib.suppress(HpcJupyterError, OSError):
            record = rec.read(account.layout.session(name).record)
            if record is not None:
                found.append(record)
    return found


def _is_bound(record: Record) -> bool:
    live = record.state != rec.ENDED and record.login_host != ""
    return live and (record.scheduler == "none" or record.offer in ("lan", "reverse"))


def url(options: argparse.Namespace) -> int:
    """The address with the token, and, for a person, the forward that it needs."""
    account = account_here()
    record, token = _ready(account, name_of(options))
    if options.port is not None and not 1 <= options.port <= 65535:
        raise BadInput("port", f"{options.port} is not a port", hint="Use 1 to 65535")
    local = rec.offered(record) == "loopback"
    port = options.port or (record.port if local else _LOCAL_PORT)
    if sys.stdout.isatty():
        sys.stderr.write(_hints(record, port=port))
    scheme = "https" if record.tls_sha256 else "http"
    tell(f"{scheme}://127.0.0.1:{port}{record.base_url}{page_of(asdict(record))}?token={token}")
    return OK


def _hints(record: Record, *, port: int) -> str:
    target, way = _target(record), _way(record)
    forward = f"forward it on your computer: ssh -N -L 127.0.0.1:{port}:{target} {way}\n" if target else ""
    compare = f"compare the certificate: its SHA-256 is {record.tls_sha256}\n" if record.tls_sha256 else ""
    return forward + compare


def _target(record: Record) -> str:
    """What a forward leads to, as ``ssh -L`` writes it; empty where none is needed."""
    if rec.offered(record) == "lan":
        host = f"[{record.address}]" if ":" in record.address else record.address
        return f"{host}:{record.port}"
    if rec.offered(record) == "reverse":
        return record.login_socket or f"127.0.0.1:{record.login_port}"
    return record.socket


def _way(record: Record) -> str:
    on_node = rec.offered(record) == "socket" and record.scheduler != "none"
    return f"-J {record.login_host} {record.node}" if on_node else record.login_host


def _ready(account: Account, name: str) -> tuple[Record, str]:
    record = recorded(account, name)
    if record.state != rec.READY:
        raise NoSession(f"{line(View(record))}: it has no URL; see `hpc-session status{option(record)}`")
    return race.claim(account.layout.session(name), record), token_of(account, name)

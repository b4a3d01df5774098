"""``launch``: a session, a new one only if there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec

from hpc_jupyter import options
from hpc_jupyter.access import Access, needs_setup
from hpc_jupyter.commands import connect, setup
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Failure, SessionFailed, Unreachable, Waiting
from hpc_jupyter.play import HostResult
from hpc_jupyter.progress import describe
from hpc_jupyter.watch import play

_WATCH_SECONDS = 30 * 24 * 3600


def run(context: Context, name: str, wanted: options.Launch) -> Link:
    """Set the account up if it never was, find or submit the session, wait until it is ready, and connect to it."""
    cluster = context.account(name).cluster
    connect.check(cluster, wanted.connection)
    if cluster.local and os.geteuid() == 0:
        context.progress.say(
            "Warning: running as root; whoever is in this JupyterLab can do everything on this machine"
        )
    access = context.access(name)
    connector = Connector(access, wanted.session, context.progress)
    if _is_ready(connector):
        return connect.link(context, connector, wanted.connection)
    _set_up(context, access)
    context.progress.now(f"Looking for session {wanted.session} of {name}")
    result = play(
        context, "hpc.jupyter.launch", name, {"jupyter_session_wait_seconds": _WATCH_SECONDS, **wanted.variables}
    )
    _check(context, result, wanted.session)
    return connect.link(context, connector, wanted.connection)


def _is_ready(connector: Connector) -> bool:
    """Whether there is nothing to do but to connect; asked without a play, since that is the common case."""
    try:
        return connector.access.attach(connector.session).record.state == rec.READY
    except Unreachable:
        raise
    except Failure:
        return False


def _set_up(context: Context, access: Access) -> None:
    account = access.cluster.account
    installed = access.installed_version()
    if needs_setup(installed):
        why = f"was set up by release {installed}" if installed else "has not been set up yet"
        context.progress.say(f"{account} {why}; doing that now, which may take some minutes")
        setup.run(context, account, variables={}, secrets={})


def _check(context: Context, result: HostResult, name: str) -> None:
    session: Mapping[str, Any] = result.session
    hints = context.hints(result.account, name)
    if session.get("state") in (rec.READY, rec.UNKNOWN):
        return
    if session.get("state") in (rec.ENDED, None):
        raise SessionFailed(f"{result.account}: {describe(session)}. See: {hints.command('logs')}")
    raise Waiting(
        f"{result.account}: {describe(session)}. Watch it again: {hints.command('launch')}\n"
        f"Give it up: {hints.command('stop')}"
    )

"""``launch``: a session, a new one only if there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe

from hpc_jupyter import options
from hpc_jupyter.access import needs_setup
from hpc_jupyter.account import ANYWAY, is_true
from hpc_jupyter.ahead import Ahead
from hpc_jupyter.commands import connect, setup
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Failure, NoSession, SessionFailed, Waiting
from hpc_jupyter.exits import Exit
from hpc_jupyter.play import HostResult
from hpc_jupyter.watch import play

_WATCH_SECONDS = 30 * 24 * 3600


def check(name: str) -> None:
    """Refuse a launch that names no account."""
    if not name:
        raise BadInput("ACCOUNT", "is missing", hint="Name one, or several clusters with --first")


def run(context: Context, name: str, wanted: options.Launch) -> Link:
    """Set the account up if it never was, find or submit the session, wait until it is ready, and connect to it."""
    account = context.account(name)
    cluster = account.cluster
    connect.check(cluster, wanted.connection)
    options.check_idle(account, wanted.variables)
    if cluster.local and os.geteuid() == 0:
        context.progress.say(
            "Warning: running as root; whoever is in this JupyterLab can do everything on this machine"
        )
    access = context.access(name)
    connector = context.connector(access, wanted.session)
    installed = access.installed_version()
    if not installed:
        _prefer_hub(context, name, wanted)
    found = _if_ready(context, connector, wanted) if installed else None
    if found is not None:
        return found
    if needs_setup(installed):
        set_up(context, name, installed)
    connector.store.note(wanted.session)  # from now on there may be a job, though nobody may see it start
    context.progress.now(f"Looking for session {wanted.session} of {name}")
    ahead = Ahead(connector)
    variables = {"jupyter_session_wait_seconds": _WATCH_SECONDS, **wanted.variables}
    result = play(context, "hpc.jupyter.launch", name, variables, also=ahead.see)
    _check(context, result, wanted.session)
    try:
        return connect.link(context, connector, wanted.connection, attached=ahead.result())
    except Waiting:
        if result.session["state"] != rec.UNKNOWN:
            raise
        raise _waiting(context, result, wanted.session) from None


def _if_ready(context: Context, connector: Connector, wanted: options.Launch) -> Link | None:
    """The connection, where there is nothing to do but to connect: the common case needs no play."""
    try:
        return connect.link(context, connector, wanted.connection)
    except (Busy, Waiting):  # a job that ends or waits: the play waits for it
        return None
    except NoSession:
        _prefer_hub(context, connector.account, wanted)
        return None


def _prefer_hub(context: Context, name: str, wanted: options.Launch) -> None:
    """Where a new session is needed and the site has a JupyterHub, that is the better way; raises ``Failure``."""
    account = context.account(name)
    url = account.cluster.jupyterhub_url
    if not url or is_true(wanted.variables.get(ANYWAY, account.goes_anyway)):
        return
    raise Failure(
        f"{account.cluster.name} has a JupyterHub, which is the better way: {url}\n"
        f"To launch a session here anyway: {context.hints(name, wanted.session).command('launch')} --anyway "
        f"(or {ANYWAY}: true in the inventory)",
        code=Exit.BAD_INPUT,
    )


def set_up(context: Context, account: str, installed: str) -> None:
    """Set an account up that never was, or by an older release."""
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
    raise _waiting(context, result, name)


def _waiting(context: Context, result: HostResult, name: str) -> Waiting:
    hints = context.hints(result.account, name)
    return Waiting(
        f"{result.account}: {describe(result.session)}. Watch it again: {hints.command('launch')}\n"
        f"Give it up: {hints.command('stop')}"
    )

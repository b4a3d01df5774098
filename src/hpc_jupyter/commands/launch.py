"""``launch``: a session, a new one only if there is none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe

from hpc_jupyter import options
from hpc_jupyter.access import Seen, needs_setup
from hpc_jupyter.account import ANYWAY, is_true
from hpc_jupyter.ahead import Ahead
from hpc_jupyter.commands import connect, setup
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Failure, NoSession, SessionFailed, Waiting
from hpc_jupyter.events import HostResult
from hpc_jupyter.exits import Exit
from hpc_jupyter.play import Started
from hpc_jupyter.watch import finish, start

_WATCH_SECONDS = 30 * 24 * 3600
_PLAIN = re.compile(r"\w[\w.@-]*", re.ASCII)


def check(name: str) -> None:
    """Refuse a launch that names no account."""
    if not name:
        raise BadInput("ACCOUNT", "is missing", hint="Name one, or several clusters with --first")


def run(context: Context, name: str, wanted: options.Launch) -> Link:
    """Set the account up if it never was, find or submit the session, wait until it is ready, and connect to it."""
    if not _PLAIN.fullmatch(name):
        context.account(name)  # a pattern of Ansible's is no account
    variables = {"jupyter_session_wait_seconds": _WATCH_SECONDS, **wanted.variables}
    # Ansible takes longer to start than everything else together that is to be found out first.
    with start(context, "hpc.jupyter.launch", name, variables) as started:
        return _run(context, name, wanted, started)


def _run(context: Context, name: str, wanted: options.Launch, started: Started) -> Link:
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
    seen = access.see(wanted.session)
    if not seen.installed:
        _prefer_hub(context, name, wanted)
    found = _if_ready(context, connector, wanted, seen) if seen.installed else None
    if found is not None:
        return found
    if needs_setup(seen.installed):
        set_up(context, name, seen.installed)
    connector.store.note(wanted.session)  # from now on there may be a job, though nobody may see it start
    context.progress.now(f"Looking for session {wanted.session} of {name}")
    return _play(context, connector, wanted, started)


def _play(context: Context, connector: Connector, wanted: options.Launch, started: Started) -> Link:
    """What the play makes ready, connected to while the play still ends."""

    def connected() -> Link:
        return connect.link(context, connector, wanted.connection)

    with Ahead(connected, lambda link: connect.drop(connector, link), started.enough) as ahead:
        result = finish(context, started, connector.account, also=ahead.see)
        _check(context, result, wanted.session)
        link = ahead.take()
    try:
        return link or connected()
    except Waiting:
        if result.session["state"] != rec.UNKNOWN:
            raise
        raise _waiting(context, result, wanted.session) from None


def _if_ready(context: Context, connector: Connector, wanted: options.Launch, seen: Seen) -> Link | None:
    """The connection, where there is nothing to do but to connect: the common case needs no play."""
    try:
        return connect.link(context, connector, wanted.connection, seen=seen)
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

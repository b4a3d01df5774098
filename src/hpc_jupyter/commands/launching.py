"""``launch``, once its play has been started: the session that there is, or the one that the play makes ready."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe

from hpc_jupyter import options
from hpc_jupyter.access import Access, Attached, Seen, needs_setup
from hpc_jupyter.account import ANYWAY, is_true
from hpc_jupyter.ahead import Ahead
from hpc_jupyter.commands import connect, setup
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Failure, NoSession, SessionFailed, Waiting
from hpc_jupyter.events import HostResult
from hpc_jupyter.exits import Exit
from hpc_jupyter.following import Following, News
from hpc_jupyter.forward import Forward
from hpc_jupyter.play import Started
from hpc_jupyter.watch import finish


def go_on(context: Context, name: str, wanted: options.Launch, started: Started) -> Link:
    """Set the account up if it never was, find or submit the session, wait until it is ready, and connect to it."""
    account = context.account(name)
    cluster = account.cluster
    connect.check(cluster, wanted.connection)
    options.check_idle(account, wanted.variables)
    if cluster.local and os.geteuid() == 0:
        context.progress.say(
            "Warning: running as root; whoever is in this JupyterLab can do everything on this machine"
        )
    access = Access.to(cluster)
    connector = context.connector(access, wanted.session)
    with Following(access, wanted.session) as following:
        context.log_in(access, look=following.look)
        return _found_or_made(context, connector, wanted, started, following)


def _found_or_made(
    context: Context, connector: Connector, wanted: options.Launch, started: Started, following: Following
) -> Link:
    name, seen = connector.account, following.see()
    if not seen.installed:
        _prefer_hub(context, name, wanted)
    found = _if_ready(context, connector, wanted, seen) if seen.installed else None
    if found is not None:
        return found
    if needs_setup(seen.installed):
        set_up(context, name, seen.installed)
    connector.store.note(wanted.session)  # from now on there may be a job, though nobody may see it start
    context.progress.now(f"Looking for session {wanted.session} of {name}")
    return _play(context, connector, wanted, started, following.news)


@dataclass(frozen=True)
class _Way:
    """The way to the session that is launched."""

    context: Context
    connector: Connector
    connection: options.Connection

    def begin(self, attached: Attached) -> Forward | None:
        """A process in the background makes its own; what fails now is told when it fails for good."""
        with contextlib.suppress(HpcJupyterError, OSError):
            return None if self.connection.detach else self.connector.begin(attached, self.connection.wanted)
        return None

    def connect(self, attached: Attached | None = None, begun: Forward | None = None) -> Link:
        """As ``connect`` does."""
        seen = Seen("", attached) if attached else None
        return connect.link(self.context, replace(self.connector, begun=begun), self.connection, seen=seen)

    def drop(self, link: Link) -> None:
        """End it."""
        connect.drop(self.connector, link)


def _play(context: Context, connector: Connector, wanted: options.Launch, started: Started, news: News) -> Link:
    """What the play makes ready, connected to while the play still ends."""
    way = _Way(context, connector, wanted.connection)
    with Ahead(way, news, started.enough) as ahead:
        result = finish(context, started, connector.account, also=ahead.see)
        link = ahead.take()
    try:
        if link is None:
            _check(context, result, wanted.session)
        return link or way.connect()
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

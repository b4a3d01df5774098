"""``connect``: reach a session that runs, show it, and hold the connection."""

from __future__ import annotations

import os
import signal

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import LOOPBACK

from hpc_jupyter import background, browser, explained, render
from hpc_jupyter.access import Access, Seen
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.context import Context
from hpc_jupyter.countdown import Countdown
from hpc_jupyter.exits import Exit
from hpc_jupyter.following import Following
from hpc_jupyter.hold import Holder
from hpc_jupyter.options import Connection
from hpc_jupyter.ports import check_wanted
from hpc_jupyter.results import Connected


def run(context: Context, name: str, session: str, connection: Connection) -> Link:
    """Connect to the session called ``session``."""
    session_name(session)
    cluster = context.account(name).cluster
    check(cluster, connection)
    access = Access.to(cluster)
    with Following(access, session, seconds=0) as question:
        context.log_in(access, look=question.look)
        seen = question.see()
    return link(context, context.connector(access, session), connection, seen=seen)


def check(cluster: Cluster, connection: Connection) -> None:
    """Refuse options that mean nothing on this account."""
    check_wanted(cluster, connection.wanted.ports)
    if cluster.local and connection.wanted.port:
        raise BadInput(
            "--port", f"{cluster.account} is this machine, where Jupyter chooses its own port", hint="Leave it out"
        )


def link(
    context: Context, connector: Connector, connection: Connection, *, seen: Seen | None = None
) -> Link:
    """A proven connection to a session that is ready: held by this process, by one in the background, or by none."""
    attached = connector.checked(seen.get()) if seen else connector.attach()
    try:
        with connector.believing_the_scheduler():
            if connection.detach and not connector.access.cluster.local:
                return background.start(context, connector, attached, connection.wanted)
            return connector.connect(attached, port=connection.wanted.port, ports=connection.wanted.ports)
    finally:
        context.progress.done()


def result(found: Link) -> Connected:
    """What is told of a connection."""
    record = found.record
    return Connected(
        account=record.account,
        session=record.session,
        state=record.state,
        reason=record.reason,
        job_id=record.job_id,
        node=record.node,
        login_host=record.login_host,
        route=found.route.name,
        url=found.url,
        port=found.route.port,
        pid=found.holder.pid,
        ends_at=record.ends_at,
        log=record.log,
        forwards=tuple(
            {"port": there, "local": here, "url": f"http://{LOOPBACK}:{here}/"} for here, there in found.route.ports
        ),
        interface=record.interface,
    )


def present(context: Context, found: Link, connection: Connection) -> Exit:
    """Show the session, in the browser if there is one, and hold the connection if it is this process that does."""
    connector = _connector(context, found)
    try:
        if connection.explain:
            for line in explained.lines(found, connector.access):
                context.progress.say(line)
        render.show(result(found), as_json=context.as_json)
        _open(context, connector, found, connection)
        return _hold(context, connector, found)
    finally:
        drop(connector, found)


def drop(connector: Connector, found: Link) -> None:
    """End what this process holds of a connection."""
    if found.forward is not None:
        found.forward.close()
        connector.store.release(found.record.session)


def ports_of(found: Link) -> list[str]:
    """Where the node's further ports are on this machine."""
    record = found.record
    return [f"Port {there} of {record.node}: http://{LOOPBACK}:{here}/" for here, there in found.route.ports]


def _about_certificate(context: Context, found: Link) -> list[str]:
    """What the browser will show of it, where there is one."""
    if not found.route.sha256:
        return []
    from hpc_jupyter import certificate  # cryptography takes its time to load

    return certificate.lines(context, found.route)


def _connector(context: Context, found: Link) -> Connector:
    cluster = context.account(found.record.account).cluster
    return context.connector(Access.to(cluster), found.record.session)


def _open(context: Context, connector: Connector, found: Link, connection: Connection) -> None:
    """The token goes to the browser, or to the terminal; with ``--json`` it has been printed already."""
    if context.as_json:
        return
    notes = _about_certificate(context, found)
    wanted = connection.browser and browser.is_there(os.environ)
    opened = wanted and browser.show(found.url, directory=connector.store.directory, session=found.record.session)
    hints = context.hints(found.record.account, found.record.session)
    print(f"  Opened in the browser: {found.address}" if opened else f"  {found.url}")
    for line in (*ports_of(found), *notes):
        print(f"  {line}")
    print(f"See it:     {context.hints(found.record.account).command('status')}")
    print(f"Come back:  {hints.command('connect')}")
    print(f"Stop it:    {hints.command('stop')}")
    if found.forward is not None:
        print("Ctrl-C ends this connection; the session goes on.")
    elif found.holder.pid:
        print(f"Disconnect: {hints.command('disconnect')} (process {found.holder.pid} holds the connection)")
    print(end="", flush=True)


def _hold(context: Context, connector: Connector, found: Link) -> Exit:
    if found.forward is None:
        return Exit.OK
    hints = context.hints(found.record.account, found.record.session)
    holder = Holder(connector, found, context.progress.say)
    try:
        with Countdown(lambda: holder.link, context.progress):
            holder.run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        context.progress.say("\nDisconnected; the session goes on")
        context.progress.say(f"Come back: {hints.command('connect')}")
        context.progress.say(f"Stop it:   {hints.command('stop')}")
    return Exit.OK

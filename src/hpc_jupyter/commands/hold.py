"""``hold``: what ``--detach`` leaves running in the background."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.context import Context
from hpc_jupyter.countdown import Countdown
from hpc_jupyter.exits import Exit
from hpc_jupyter.hold import Holder
from hpc_jupyter.ports import Wanted


def run(context: Context, name: str, session: str, wanted: Wanted) -> Exit:
    """Connect and hold until the session is over or somebody ends this process."""
    session_name(session)
    access = context.access(name, interactive=False)
    connector = context.connector(access, session)
    found = connector.connect(connector.attach(), port=wanted.port, ports=wanted.ports)
    if found.forward is not None:
        holder = Holder(connector, found, context.progress.say)
        with Countdown(lambda: holder.link, context.progress):
            holder.run()
    return Exit.OK

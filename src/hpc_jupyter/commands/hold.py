"""``hold``: what ``--detach`` leaves running in the background."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.context import Context
from hpc_jupyter.countdown import Countdown
from hpc_jupyter.exits import Exit
from hpc_jupyter.hold import hold
from hpc_jupyter.ports import Wanted


def run(context: Context, name: str, session: str, wanted: Wanted) -> Exit:
    """Connect and hold until the session is over or somebody ends this process."""
    session_name(session)
    access = context.access(name, interactive=False)
    connector = context.connector(access, session)
    found = connector.connect(connector.attach(), port=wanted.port, ports=wanted.ports)
    if found.forward is not None:
        with Countdown(found, context.progress):
            hold(connector, found, context.progress.say)
    return Exit.OK

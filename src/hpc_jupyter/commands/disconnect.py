"""``disconnect``: end the connection that this machine holds."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.access import Access
from hpc_jupyter.connection import Connector
from hpc_jupyter.context import Context
from hpc_jupyter.results import Done


def run(context: Context, name: str, session: str) -> Done:
    """End the holder and its ssh; contacts nobody."""
    session_name(session)
    cluster = context.account(name).cluster
    connector = Connector(Access.to(cluster), session, context.progress)
    held = connector.store.read(session)
    ended = connector.end(held)
    text = (
        f"Disconnected from session {session} of {name}; the session goes on"
        if ended
        else (f"This computer holds no connection to session {session} of {name}")
    )
    return Done(account=name, session=session, changed=ended, text=text)

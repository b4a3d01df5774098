"""``disconnect``: end the connection that this machine holds."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.results import Done
from hpc_jupyter.state import Store


def run(name: str, session: str) -> Done:
    """End the holder and its ssh; contacts nobody, needs no inventory."""
    session_name(session)
    ended = Store(name).end(session)
    text = (
        f"Disconnected from session {session} of {name}; the session goes on"
        if ended
        else (f"This computer holds no connection to session {session} of {name}")
    )
    return Done(account=name, session=session, changed=ended, text=text)

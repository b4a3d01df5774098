"""``login``: open the connection that the next commands ride on."""

from __future__ import annotations

from hpc_jupyter.access import Access
from hpc_jupyter.context import Context
from hpc_jupyter.results import Done


def run(context: Context, name: str) -> Done:
    """Log in, asking on the terminal if the cluster asks."""
    access = Access.to(context.account(name).cluster)
    try:
        opened = access.log_in(context.progress, interactive=True)
    finally:
        context.progress.done()
    if access.cluster.local:
        text = f"{name} is this machine; there is nothing to log in to"
    else:
        text = f"Logged in to {name}" if opened else f"{name} is logged in already"
    return Done(account=name, session="", changed=opened, text=text)

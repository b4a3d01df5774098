"""``logout``: end the connections that ``login`` and every other command have opened."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files

from hpc_jupyter.context import Context
from hpc_jupyter.results import Done, Several
from hpc_jupyter.state import Store, connected_accounts, known_accounts


def run(context: Context, names: Sequence[str]) -> Several:
    """End what holds connections first, or it would log in again; contacts nobody."""
    connected = connected_accounts()
    for name in names:
        if name not in connected and name not in known_accounts():
            context.account(name)
    wanted = list(dict.fromkeys(names)) or connected
    return Several.of([_log_out(name) for name in wanted], nothing="This computer is not logged in anywhere")


def _log_out(name: str) -> Done | HpcJupyterError:
    store = Store(name)
    held = tuple(session for session in store.sessions() if store.end(session))
    try:
        closed = ssh.close_master(Files(str(store.directory)))
    except ssh.ConnectFailed as error:
        ended = f". The connection to {', '.join(held)} has ended already; the session goes on" if held else ""
        return Busy(f"{name}: {error}{ended}")
    goes_on = f"; its connection to {', '.join(held)} ended with that, the session goes on" if held else ""
    text = f"Logged out of {name}{goes_on}" if closed or held else f"{name} was not logged in"
    return Done(account=name, session="", changed=closed or bool(held), text=text)

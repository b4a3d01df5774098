"""``logs``: the end of a session's log."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.context import Context
from hpc_jupyter.errors import NoSession
from hpc_jupyter.results import Logs
from hpc_jupyter.watch import play


def run(context: Context, name: str, session: str, lines: int) -> Logs:
    """Read the log on the account."""
    session_name(session)
    context.access(name)
    variables = {"jupyter_session_name": session, "jupyter_session_log_lines": lines}
    result = play(context, "hpc.jupyter.logs", name, variables)
    found = next((item for item in result.sessions if item.get("session") == session), None)
    if found is None:
        hint = context.hints(name, session).command("launch")
        raise NoSession(f"{name} has never had a session {session}. Start one: {hint}")
    tail = tuple(str(line) for line in found.get("log_tail", ()))
    return Logs(account=name, session=session, log=str(found.get("log", "")), tail=tail)

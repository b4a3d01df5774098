"""``restart``: Jupyter anew in the job of a session."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.context import Context
from hpc_jupyter.results import Done
from hpc_jupyter.watch import play


def run(context: Context, name: str, session: str) -> Done:
    """Start Jupyter anew in the session's job; the address stays, so a connection finds its way again."""
    session_name(session)
    context.access(name)
    context.progress.now(f"Restarting Jupyter in session {session} of {name}")
    result = play(context, "hpc.jupyter.restart", name, {"jupyter_session_name": session})
    job = f" (job {result.session['job_id']})" if result.session.get("job_id") else ""
    text = f"Restarted Jupyter in session {session} of {name}{job}: reload its page"
    return Done(account=name, session=session, changed=result.changed, text=text)

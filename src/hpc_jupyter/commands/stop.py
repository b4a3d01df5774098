"""``stop``: end a session."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.context import Context
from hpc_jupyter.results import Done
from hpc_jupyter.state import Store
from hpc_jupyter.watch import play


def run(context: Context, name: str, session: str) -> Done:
    """Cancel the session's job, then end what this machine holds of it."""
    session_name(session)
    context.access(name)
    context.progress.now(f"Stopping session {session} of {name}")
    result = play(context, "hpc.jupyter.stop", name, {"jupyter_session_name": session})
    Store(name).end(session)
    job = f" (job {result.session['job_id']})" if result.session.get("job_id") else ""
    text = (
        f"Stopped session {session} of {name}{job}"
        if result.changed
        else (f"There is no session {session} of {name} to stop")
    )
    return Done(account=name, session=session, changed=result.changed, text=text)

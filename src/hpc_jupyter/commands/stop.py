"""``stop``: end a session, or all of them."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name

from hpc_jupyter.ask import agreed
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached, Failure
from hpc_jupyter.results import Done, Several
from hpc_jupyter.state import Store, known_accounts
from hpc_jupyter.watch import play


def check(name: str, *, every: bool, is_named: bool) -> None:
    """Refuse what leaves open which sessions are meant; ``is_named`` is whether one was named."""
    if every and is_named:
        raise BadInput("--session", "names one session, and --all means all of them", hint="Leave one of them out")
    if not name and not every:
        raise BadInput("ACCOUNT", "is missing", hint="Name one, or add --all to end the sessions of every account")


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


def run_all(context: Context, name: str, *, yes: bool) -> Several:
    """Every session of one account; without a name of every account that was used here, if the person agrees."""
    used = [name] if name else known_accounts()
    names = [each for each in used if name or each in context.accounts.accounts]
    for each in names:
        context.account(each)
    if not name and names:
        question = f"Stop every session of {', '.join(names)}? What is not saved in them is lost."
        otherwise = f"Name an account, or add it to stop every session of {', '.join(names)}"
        if not agreed(question, yes=yes, otherwise=otherwise):
            return Several((), nothing="Nothing was stopped")
    left = [_unknown(context, each) for each in used if each not in names]
    return Several.of([*(_all_of(context, each) for each in names), *left], nothing=_NONE_USED)


_NONE_USED = "This computer has used no account yet"


def _unknown(context: Context, name: str) -> Failure:
    """There may be a job of it that is charged."""
    return Failure(
        f"{name} was used here and is not in the inventory ({', '.join(context.accounts.sources)}), so what may run "
        f"there was not stopped. Name its inventory with -i, or forget the account: rm -r {Store(name).directory}"
    )


def _all_of(context: Context, name: str) -> Done | HpcJupyterError:
    """What was stopped of one account; its failure, which does not keep the others."""
    try:
        context.access(name)
        context.progress.now(f"Stopping all sessions of {name}")
        result = play(context, "hpc.jupyter.stop", name, {"jupyter_session_every": True})
    except Detached:  # Ctrl-C is for all of them
        raise
    except HpcJupyterError as error:
        return error
    stopped = tuple(str(session) for session in result.told.get("stopped", ()))
    store = Store(name)
    for session in store.sessions():
        store.end(session)
    text = f"Stopped {', '.join(stopped)} of {name}" if stopped else f"There is no session of {name} to stop"
    return Done(account=name, session="", changed=bool(stopped), text=text, sessions=stopped)

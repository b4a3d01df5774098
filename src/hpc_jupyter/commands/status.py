"""``status``: the sessions of accounts."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError

from hpc_jupyter.context import Context
from hpc_jupyter.exits import Exit
from hpc_jupyter.play import HostResult, Play, PlayResult
from hpc_jupyter.play import run as run_play
from hpc_jupyter.results import AccountStatus, Status
from hpc_jupyter.state import Store, known_accounts
from hpc_jupyter.watch import Watcher


def run(context: Context, names: Sequence[str]) -> Status:
    """Ask all accounts in one play; what is wrong with one does not hide the others."""
    wanted = list(dict.fromkeys(names)) or [name for name in known_accounts() if name in context.accounts.accounts]
    problems = {name: _enter(context, name, strict=bool(names)) for name in wanted}
    reachable = [name for name in wanted if not problems[name]]
    answer = _ask(context, reachable) if reachable else PlayResult(succeeded=True, hosts={})
    rows = tuple(_row(name, problems[name], answer) for name in wanted)
    return Status(rows, code=_code(rows, problems))


def _enter(context: Context, name: str, *, strict: bool) -> str:
    """Log in to one account; what went wrong, empty if nothing."""
    try:
        context.access(name)
    except BadInput as error:
        if strict:
            raise
        return str(error)
    except HpcJupyterError as error:
        return str(error)
    return ""


def _ask(context: Context, names: Sequence[str]) -> PlayResult:
    play = Play("hpc.jupyter.status", inventory=context.accounts.sources, accounts=names, verbosity=context.verbosity)
    try:
        result = run_play(play, Watcher(context.progress))
    finally:
        context.progress.done()
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _row(name: str, problem: str, answer: PlayResult) -> AccountStatus:
    host = answer.hosts.get(name, HostResult(name, failed=not answer.succeeded, message=answer.message))
    if problem or host.failed:
        return AccountStatus(name, problem=problem or host.message)
    return AccountStatus(name, sessions=host.sessions, ports=_ports(name))


def _ports(name: str) -> tuple[tuple[str, int], ...]:
    store = Store(name)
    held = {session: store.read(session) for session in store.sessions()}
    return tuple((session, item.port) for session, item in held.items() if item.is_up)


def _code(rows: Sequence[AccountStatus], problems: dict[str, str]) -> Exit:
    if any(problems.values()):
        return Exit.UNREACHABLE
    return Exit.FAILED if any(row.problem for row in rows) else Exit.OK

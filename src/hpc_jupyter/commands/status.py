"""``status``: the sessions of accounts, and what earlier ones have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.leftovers import Leftover

from hpc_jupyter import leftovers
from hpc_jupyter.context import Context
from hpc_jupyter.exits import Exit
from hpc_jupyter.play import HostResult, Play, PlayResult
from hpc_jupyter.play import run as run_play
from hpc_jupyter.results import AccountStatus, Holding, Status
from hpc_jupyter.state import Held, Store, known_accounts
from hpc_jupyter.watch import Watcher


def run(context: Context, names: Sequence[str]) -> Status:
    """Ask all accounts in one play; what is wrong with one does not hide the others."""
    wanted = list(dict.fromkeys(names)) or used_accounts(context)
    problems = {name: _enter(context, name, strict=bool(names)) for name in wanted}
    reachable = [name for name in wanted if not problems[name]]
    answer = _ask(context, reachable) if reachable else PlayResult(succeeded=True, hosts={})
    rows = tuple(_row(context, name, problems[name], answer) for name in wanted)
    plays = tuple(_told(each, context.hints("").command("clean")) for each in leftovers.find_plays())
    return Status(rows, leftovers=plays, code=_code(rows, problems) if names else Exit.OK)


def used_accounts(context: Context) -> list[str]:
    """The accounts that this computer has used: those of the inventory, and others of which something is left here."""
    known = known_accounts()
    return [name for name in known if name in context.accounts.accounts or _connections(name) or leftovers.find(name)]


def _enter(context: Context, name: str, *, strict: bool) -> str:
    """Log in to one account; what went wrong, empty if nothing."""
    try:
        context.access(name)
    except BadInput as error:
        if strict and (name in context.accounts.accounts or name not in known_accounts()):
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


def _row(context: Context, name: str, problem: str, answer: PlayResult) -> AccountStatus:
    host = answer.hosts.get(name, HostResult(name, failed=not answer.succeeded, message=answer.message))
    failed = problem or (host.message if host.failed else "")
    there = [] if failed else [Leftover(**each) for each in host.told.get("leftovers", ())]
    return AccountStatus(
        name,
        sessions=() if failed else host.sessions,
        connections=_connections(name),
        leftovers=tuple(_told(each, _remedy(context, name, each)) for each in (*there, *leftovers.find(name))),
        untold="" if failed else str(host.told.get("untold", "")),
        problem=failed,
    )


def _remedy(context: Context, name: str, found: Leftover) -> str:
    """The command that ends or removes it."""
    return context.hints(name, (found.session or "default") if found.verb == "stop" else "default").command(found.verb)


def _told(found: Leftover, remedy: str) -> Mapping[str, Any]:
    return {**asdict(found), "remedy": remedy}


def _connections(name: str) -> tuple[Holding, ...]:
    """What processes of this computer hold."""
    store = Store(name)
    held = {session: store.read(session) for session in store.sessions()}
    return tuple(_holding(session, item) for session, item in held.items() if item.holder.is_alive)


def _holding(session: str, held: Held) -> Holding:
    return Holding(session, held.port, held.holder.pid, up=held.is_up)


def _code(rows: Sequence[AccountStatus], problems: dict[str, str]) -> Exit:
    if any(problems.values()):
        return Exit.UNREACHABLE
    return Exit.FAILED if any(row.problem for row in rows) else Exit.OK

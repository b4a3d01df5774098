"""``status``: the sessions of accounts, and what earlier ones have left."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.leftovers import Leftover
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import possible_routes
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import DENIED
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import ROUTES

from hpc_jupyter import leftovers
from hpc_jupyter.context import Context
from hpc_jupyter.events import HostResult
from hpc_jupyter.exits import Exit
from hpc_jupyter.play import Play
from hpc_jupyter.play import run as run_play
from hpc_jupyter.progress import Quiet
from hpc_jupyter.results import AccountStatus, Holding, Status
from hpc_jupyter.state import Held, Store, known_accounts
from hpc_jupyter.watch import Watcher

_NOBODY: Mapping[str, AccountStatus] = {}


def run(
    context: Context, names: Sequence[str], *, interactive: bool = True, everybody: bool = False,
    spared: Mapping[str, AccountStatus] = _NOBODY,
) -> Status:  # fmt: skip
    """Ask all accounts at once; what is wrong with one does not hide the others.

    Nobody is asked for a password unless ``interactive``, nor shown what is going on. ``everybody`` means those of the
    inventory that this computer has not used, too: other people's, so that nobody is asked for passwords. Those who are
    ``spared`` are not asked again: their row is known.
    """
    wanted = list(dict.fromkeys(names)) or used_accounts(context)
    if everybody:
        wanted = sorted({*wanted, *context.accounts.accounts})
    problems = {name: _problem(context, name, strict=bool(names)) for name in wanted}
    asked = [name for name in wanted if name not in spared and not problems[name]]
    answers = _play(context, asked, quiet=not interactive)
    if interactive and not everybody and sys.stdin.isatty():
        answers = _entered(context, answers)
    rows = tuple(
        spared.get(name) or _row(context, name, problems[name], answers.get(name, HostResult(name))) for name in wanted
    )
    plays = tuple(_told(each, context.hints("").command("clean")) for each in leftovers.find_plays())
    unreachable = bool(spared) or any(problems.values()) or any(each.unreachable for each in answers.values())
    return Status(rows, leftovers=plays, code=_code(rows, unreachable=unreachable) if names else Exit.OK)


def used_accounts(context: Context) -> list[str]:
    """The accounts that this computer has used: those of the inventory, and others of which something is left here."""
    known = known_accounts()
    return [name for name in known if name in context.accounts.accounts or _connections(name) or leftovers.find(name)]


def _problem(context: Context, name: str, *, strict: bool) -> str:
    """What is wrong with the facts of one account, empty if nothing."""
    try:
        _ = context.account(name).cluster
    except BadInput as error:
        if strict and (name in context.accounts.accounts or name not in known_accounts()):
            raise
        return str(error)
    return ""


def _entered(context: Context, answers: Mapping[str, HostResult]) -> Mapping[str, HostResult]:
    """What each account says once those that let nobody in without a person are entered, one by one."""
    denied = [name for name, host in answers.items() if host.unreachable and host.kind == DENIED]
    refused = {name: _enter(context, name) for name in denied}
    entered = [name for name in denied if not refused[name]]
    kept = {name: replace(answers[name], message=text) for name, text in refused.items() if text}
    return {**answers, **kept, **_play(context, entered)}


def _play(context: Context, names: Sequence[str], *, quiet: bool = False) -> Mapping[str, HostResult]:
    if not names:
        return {}
    progress = Quiet() if quiet else context.progress
    progress.stand(f"Asking {names[0] if len(names) == 1 else f'{len(names)} accounts'}")
    play = Play("hpc.jupyter.status", inventory=context.accounts.sources, accounts=names, verbosity=context.verbosity)
    try:
        result = run_play(play, Watcher(progress))
    finally:
        progress.done()
    if result.interrupted:
        raise KeyboardInterrupt
    silent = {name: HostResult(name, failed=not result.succeeded, message=result.message) for name in names}
    return {**silent, **result.hosts}


def _enter(context: Context, name: str) -> str:
    """Log in to one account, asking its owner; what went wrong, empty if nothing."""
    try:
        context.access(name)
    except HpcJupyterError as error:
        return str(error)
    return ""


def _row(context: Context, name: str, problem: str, host: HostResult) -> AccountStatus:
    failed = problem or (host.message if host.failed else "")
    there = [] if failed else [Leftover(**each) for each in host.told.get("leftovers", ())]
    return AccountStatus(
        name,
        sessions=() if failed else tuple(_routed(context, name, each) for each in host.sessions),
        connections=_connections(name),
        leftovers=tuple(_told(each, _remedy(context, name, each)) for each in (*there, *leftovers.find(name))),
        untold="" if failed else str(host.told.get("untold", "")),
        problem=failed,
        cause=host.kind if failed and host.unreachable else "",
    )


def _routed(context: Context, name: str, session: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the ``routes`` for which it is offered now, whether somebody is connected or not.

    Of several, that which the facts want, or which has worked from here, is the only one. This machine needs none.
    """
    cluster = context.account(name).cluster
    possible = () if cluster.local else possible_routes(cluster.scheduler)
    fit = [route for route in ROUTES if route in possible and ROUTES[route].is_in(session)]
    known = [route for route in (cluster.route, Store(name).route()) if route in fit]
    return {**session, "routes": (known[:1] or fit) if session["state"] == rec.READY else []}


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
    return Holding(session, held.port, held.holder.pid, up=held.is_up, route=held.route)


def _code(rows: Sequence[AccountStatus], *, unreachable: bool) -> Exit:
    if unreachable:
        return Exit.UNREACHABLE
    return Exit.FAILED if any(row.problem for row in rows) else Exit.OK

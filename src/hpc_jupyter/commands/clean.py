"""``clean``: remove what is dead, on accounts and on this computer, after saying what it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.leftovers import CLEAN, Leftover

from hpc_jupyter import leftovers
from hpc_jupyter.ask import agreed
from hpc_jupyter.commands import status
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached, exit_code
from hpc_jupyter.exits import Exit
from hpc_jupyter.results import Cleaned, Status, clean_line
from hpc_jupyter.watch import play

_OTHERWISE = "Add it to remove what is said above, or --dry-run to be told only"


def run(context: Context, names: Sequence[str], *, dry_run: bool, yes: bool) -> Cleaned:
    """Find, say, ask, remove; the second run finds nothing."""
    planned = _planned(status.run(context, names))
    if dry_run or not planned.removed:
        return replace(planned, dry_run=dry_run)
    if not yes:
        for item in planned.removed:
            context.progress.say(f"To be removed: {clean_line(item)}")
    if not agreed("Remove this?", yes=yes, otherwise=_OTHERWISE):
        return replace(planned, removed=(), kept=planned.removed, declined=True)
    done = [_remove(context, item) for item in _by_account(planned)]
    return replace(
        planned,
        removed=tuple(item for part in done for item in part.removed),
        kept=tuple(item for part in done for item in part.kept),
        problems=(*planned.problems, *(problem for part in done for problem in part.problems)),
        code=next((part.code for part in done if part.problems), planned.code),
    )


def _planned(seen: Status) -> Cleaned:
    """What would be removed."""
    found = [{**item, "account": row.account} for row in seen.accounts for item in row.leftovers]
    found += [{**item, "account": ""} for item in seen.leftovers]
    problems = tuple(f"{row.account}: {row.problem}" for row in seen.accounts if row.problem)
    return Cleaned(
        removed=tuple(item for item in found if item["verb"] == CLEAN),
        jobs=tuple(item for item in found if item["verb"] != CLEAN),
        problems=problems,
        code=seen.code or (Exit.UNREACHABLE if problems else Exit.OK),
    )


@dataclass(frozen=True)
class _Part:
    """What is to be removed of one account."""

    account: str
    here: tuple[Mapping[str, Any], ...]
    there: tuple[Mapping[str, Any], ...]


def _by_account(planned: Cleaned) -> Iterator[_Part]:
    """That of no account first: the plays for the others would take it away."""
    for account in sorted(dict.fromkeys(item["account"] for item in planned.removed), key=bool):
        own = [item for item in planned.removed if item["account"] == account]
        here = tuple(item for item in own if item["host"] == leftovers.HERE)
        yield _Part(account, here, tuple(item for item in own if item not in here))


def _remove(context: Context, part: _Part) -> Cleaned:
    gone = [item for item in part.here if leftovers.remove(part.account, _leftover(item))]
    problems: list[str] = []
    code = Exit.OK
    if part.there:
        try:
            gone += _remove_there(context, part)
        except Detached:  # Ctrl-C is for all of them
            raise
        except HpcJupyterError as error:
            problems, code = [f"{part.account}: {error}"], exit_code(error)
    kept = tuple(item for item in (*part.here, *part.there) if item not in gone)
    return Cleaned(tuple(gone), () if problems else kept, problems=tuple(problems), code=code)


def _remove_there(context: Context, part: _Part) -> list[Mapping[str, Any]]:
    """Nothing but what was said."""
    context.progress.now(f"Cleaning up {part.account}")
    only = {"jupyter_session_clean_only": [item["where"] for item in part.there]}
    removed = play(context, "hpc.jupyter.clean", part.account, only).told.get("removed", ())
    paths = {str(item["where"]) for item in removed}
    return [item for item in part.there if item["where"] in paths]


def _leftover(item: Mapping[str, Any]) -> Leftover:
    return Leftover(**{field.name: item[field.name] for field in fields(Leftover)})

"""``doctor``: look at the way to accounts and at what a session needs there."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

from hpc_jupyter import bundle as bundles
from hpc_jupyter.context import Context
from hpc_jupyter.events import HostResult, PlayResult
from hpc_jupyter.play import Play
from hpc_jupyter.play import run as run_play
from hpc_jupyter.results import Diagnosis, Examined
from hpc_jupyter.watch import Watcher


def run(context: Context, names: Sequence[str], *, bundle: str = "") -> Diagnosis:
    """All accounts in one play, in parallel; what is wrong with one does not hide the others."""
    wanted = [context.account(name).name for name in dict.fromkeys(names)] or sorted(context.accounts.accounts)
    if not wanted:
        raise BadInput("ACCOUNT", "the inventory has no accounts", hint="See hpc-jupyter accounts")
    path = bundles.check(bundle) if bundle else ""
    answer = _ask(context, wanted)
    found = Diagnosis(tuple(_examined(name, answer) for name in wanted), bundle=path)
    if path:
        bundles.write(path, found, [context.account(name) for name in wanted])
    return found


def _ask(context: Context, names: Sequence[str]) -> PlayResult:
    context.progress.now(f"Looking at {', '.join(names)}" if len(names) < 4 else f"Looking at {len(names)} accounts")
    play = Play("hpc.jupyter.doctor", inventory=context.accounts.sources, accounts=names, verbosity=context.verbosity)
    try:
        result = run_play(play, Watcher(context.progress))
    finally:
        context.progress.done()
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _examined(name: str, answer: PlayResult) -> Examined:
    host = answer.hosts.get(name, HostResult(name))
    checks = host.told.get("checks")
    if checks is None:
        said = host.message or answer.message or "Ansible gave no reason"
        checks = [{"check": "ansible", "state": "fail", "text": said, "remedy": ""}]
    return Examined(name, tuple(checks))

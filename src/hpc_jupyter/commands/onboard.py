"""``onboard``: let a key into an account, and set it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpc_jupyter.context import Context
from hpc_jupyter.errors import Unreachable
from hpc_jupyter.results import Done
from hpc_jupyter.watch import play


def run(context: Context, name: str, variables: Mapping[str, Any]) -> Done:
    """Log in, asking on the terminal if it must, then run the playbook; the second run changes nothing."""
    context.access(name)
    context.progress.now(f"Letting your key into {name}, and setting it up")
    result = play(context, "hpc.jupyter.onboard", name, variables, show_tasks=True)
    if result.failed:  # the play takes an account that it cannot enter for its owner's business, and this is its owner
        raise Unreachable(result.message)
    asking = [f"The {hop} still asks for a password" for hop in result.told.get("asking", ())]
    for line in (*asking, *result.told.get("notes", ())):
        context.progress.say(str(line))
    text = f"{name} is set up" if result.changed else f"{name} was set up already; nothing was changed"
    after = f"Next: {context.hints(name).command('launch')}"
    return Done(account=name, session="", changed=result.changed, text=f"{text}. {after}")

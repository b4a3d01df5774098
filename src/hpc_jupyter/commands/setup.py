"""``setup``: install or repair what sessions need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpc_jupyter.context import Context
from hpc_jupyter.results import Done
from hpc_jupyter.watch import play


def run(context: Context, name: str, variables: Mapping[str, Any], secrets: Mapping[str, str]) -> Done:
    """Run the playbook; the second run changes nothing."""
    context.access(name)
    context.progress.now(f"Setting up {name}")
    result = play(context, "hpc.jupyter.setup", name, variables, secrets=secrets, show_tasks=True)
    text = f"{name} is set up" if result.changed else f"{name} was set up already; nothing was changed"
    context.progress.say(text)
    return Done(account=name, session="", changed=result.changed, text=text)

"""``launch``: a session, a new one only if there is none. What comes after Ansible's start is in ``launching``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

from hpc_jupyter.watch import start

if TYPE_CHECKING:
    from hpc_jupyter.connection import Link
    from hpc_jupyter.context import Context
    from hpc_jupyter.options import Launch

_WATCH_SECONDS = 30 * 24 * 3600
_PLAIN = re.compile(r"\w[\w.@-]*", re.ASCII)


def check(name: str) -> None:
    """Refuse a launch that names no account."""
    if not name:
        raise BadInput("ACCOUNT", "is missing", hint="Name one, or several clusters with --first")


def run(context: Context, name: str, wanted: Launch) -> Link:
    """Have the session, made ready if there is none, and a proven connection to it."""
    if not _PLAIN.fullmatch(name):
        context.account(name)  # a pattern of Ansible's is no account
    context.begin_reading()  # which forks: before there is a thread
    variables = {"jupyter_session_wait_seconds": _WATCH_SECONDS, **wanted.variables}
    # Ansible takes longer to start than everything else together that is to be found out first.
    with start(context, "hpc.jupyter.launch", name, variables) as started:
        from hpc_jupyter.commands import launching

        return launching.go_on(context, name, wanted, started)

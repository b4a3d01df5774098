"""A question before something is lost; where nobody can be asked, the answer must be on the command line."""

from __future__ import annotations

import sys

import click
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput


def agreed(question: str, *, yes: bool, otherwise: str) -> bool:
    """Whether the person agrees; raises ``BadInput`` with what to do ``otherwise`` if there is none to ask."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise BadInput("--yes", "is missing, and there is no terminal to ask on", hint=otherwise)
    return click.confirm(question, default=False, err=True)

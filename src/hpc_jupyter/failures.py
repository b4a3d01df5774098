"""The one place where an error becomes words and an exit code."""

from __future__ import annotations

import os
import sys

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

from hpc_jupyter.errors import Failure, Stopped, exit_code
from hpc_jupyter.exits import Exit

DEBUG_VARIABLE = "HPC_JUPYTER_DEBUG"


def report(error: BaseException) -> int:
    """Tell the user, on standard error; returns the exit code. A traceback only if the environment asks for it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else Exit.FAILED
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, Stopped):
        return 128 + error.number
    for line in lines(error):
        print(line, file=sys.stderr)
    return exit_code(error) if isinstance(error, HpcJupyterError) else Exit.FAILED


def lines(error: BaseException) -> list[str]:
    """What to tell the user of ``error``."""
    if isinstance(error, HpcJupyterError):
        detail = error.detail if isinstance(error, Failure) else ()
        return [f"hpc-jupyter: {error}", *(f"  {line}" for line in detail)]
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return [f"hpc-jupyter: {where}{error.strerror or error}"]
    return [
        f"hpc-jupyter: unexpected {type(error).__name__}: {error}",
        f"  This is a bug. Run it again with {DEBUG_VARIABLE}=1 to see where, and report that",
    ]

"""Exit codes, named once; ``--help`` and the documentation are made from this table."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    NO_SESSION = 4
    SESSION_FAILED = 5
    WAITING = 6
    NO_FORWARD = 7
    BUSY = 8
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done; after Ctrl-C while connected too: the session goes on",
    Exit.FAILED: "something failed; the message says what",
    Exit.BAD_INPUT: "an option, an account or the inventory is wrong; nothing was contacted or changed",
    Exit.UNREACHABLE: "the account could not be reached or entered; the message names the hop",
    Exit.NO_SESSION: "there is no such session, or it is over",
    Exit.SESSION_FAILED: "the scheduler refused the job, or the session failed while it started or was connected",
    Exit.WAITING: "the session is still waiting for its node",
    Exit.NO_FORWARD: "the session runs, but no connection to it could be made",
    Exit.BUSY: "another hpc-jupyter is working on the same session",
    Exit.INTERRUPTED: "interrupted before it was done; a job that was submitted stays",
}


def epilog() -> str:
    """The table as ``--help`` shows it."""
    return "\n".join(["Exit codes:", *(f"  {code.value:>3}  {text}" for code, text in MEANINGS.items())])

"""Failures with a message for the user and the exit code they lead to."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, Busy, HpcJupyterError

from hpc_jupyter.exits import Exit


class Failure(HpcJupyterError):
    """Something failed; ``detail`` are lines that help to see why, such as the end of the job's log.

    ``cause`` is a word of ``plugin_utils.explain`` where it was ssh that failed, and trying again at once is no good.
    """

    code = Exit.FAILED

    def __init__(
        self, message: str, *, detail: tuple[str, ...] = (), code: Exit | None = None, cause: str = ""
    ) -> None:
        self.detail = detail
        self.cause = cause
        self.code = code if code is not None else self.code
        super().__init__(message)


class Unreachable(Failure):
    """The account could not be reached or entered."""

    code = Exit.UNREACHABLE


class NoSession(Failure):
    """There is no such session, or it is over."""

    code = Exit.NO_SESSION


class SessionFailed(Failure):
    """The job was refused, or the session failed while it started or was connected."""

    code = Exit.SESSION_FAILED


class Waiting(Failure):
    """The session is not ready yet."""

    code = Exit.WAITING


class NoForward(Failure):
    """The session runs, but cannot be reached from here."""

    code = Exit.NO_FORWARD


class Detached(Failure):
    """The user left before the work was done."""

    code = Exit.INTERRUPTED


class Stopped(BaseException):
    """SIGTERM or SIGHUP asked this process to end; cleaned up after like Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def exit_code(error: HpcJupyterError) -> Exit:
    """The exit code that an error leads to."""
    if isinstance(error, Failure):
        return error.code
    if isinstance(error, BadInput):
        return Exit.BAD_INPUT
    return Exit.BUSY if isinstance(error, Busy) else Exit.FAILED

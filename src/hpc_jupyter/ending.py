"""How the command line ends: every way becomes an exit code, none a traceback."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

import click

from hpc_jupyter.errors import Detached, Stopped
from hpc_jupyter.exits import Exit

_AGAIN_SECONDS = 0.05


class _Asked:
    """The signal that asked us to end. What it interrupts, an import of Python's for one, may fail in its own way."""

    number = 0
    lost = False


def exit_code_of(cli: click.Command, arguments: list[str]) -> int:
    """Run the command line, whatever happens; says why it failed."""
    _end_like_interrupted()
    sys.unraisablehook = _ignored
    try:
        return run(cli, arguments)
    except BrokenPipeError:
        # whoever read our output has gone; Python would complain again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED


def _end_like_interrupted() -> None:
    """SIGTERM and SIGHUP unwind as Ctrl-C does, so that everything is cleaned up; under nohup SIGHUP stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    again, lost = _Asked.number == number, _Asked.lost
    _Asked.number, _Asked.lost = number, False
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    if not again or lost:
        raise Stopped(number)


def _ignored(about: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised in a callback of its own: if that was the request to end, it comes again."""
    if not (_Asked.number and isinstance(about.exc_value, (KeyboardInterrupt, Stopped))):
        sys.__unraisablehook__(about)
        return
    _Asked.lost = True
    timer = threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), _Asked.number))
    timer.daemon = True
    timer.start()


def run(cli: click.Command, arguments: list[str]) -> int:
    """Run it where signals and the output are somebody else's."""
    name = "jupyter hpc" if os.path.basename(sys.argv[0]) == "jupyter-hpc" else "hpc-jupyter"
    try:
        code = cli.main(args=arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return _as_asked(int(code or Exit.OK))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return Exit.OK
    except click.ClickException as error:
        _explain(error, arguments)
        return Exit.BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except BrokenPipeError:
        raise
    except BaseException as error:  # noqa: BLE001
        return _failed(error)


def _explain(error: click.ClickException, arguments: list[str]) -> None:
    """What click says; it would repeat a password that somebody has typed behind the option."""
    if any(argument.partition("=")[0] == "--password" for argument in arguments):
        error = click.UsageError("--password takes no value, which others could read: the password is asked for")
    error.show()


def _as_asked(code: int) -> int:
    """What came of a command; a failure after the request to end is no failure of its own."""
    return 128 + _Asked.number if code and _Asked.number else code


def _interrupted() -> int:
    click.echo("\nInterrupted", err=True)
    return Exit.INTERRUPTED


def _failed(error: BaseException) -> int:
    from hpc_jupyter import failures

    if _Asked.number and not isinstance(error, Detached):
        if _Asked.number == signal.SIGINT:
            return _interrupted()
        error = Stopped(_Asked.number)
    return failures.report(error)

"""Runs a program on a terminal of its own and types there: `typist.py ANSWERS PROGRAM...`.

ANSWERS is a JSON list of pairs: what the terminal must show, and what is typed then. Standard library only.
"""

from __future__ import annotations

import json
import os
import pty
import sys
import termios
import time

PYTHON = "/usr/bin/python3"
_SILENCE_SECONDS = 3.0
"""Then it is a question whose answer is shown."""
_FLUSH_SECONDS = 0.3


def run(answers: list[tuple[str, str]], argv: list[str]) -> int:
    """Shows what the terminal shows; the program's exit code, or 1 if a question never came."""
    child, terminal = pty.fork()
    if not child:
        os.execv(argv[0], argv)  # noqa: S606 - an argv list
    seen, waiting = "", list(answers)
    while piece := _read(terminal):
        os.write(1, piece)
        seen += piece.decode("utf-8", "replace")
        if waiting and waiting[0][0] in seen:
            _await_silence(terminal)
            os.write(terminal, waiting.pop(0)[1].encode() + b"\n")
            seen = ""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code or bool(waiting)


def _await_silence(terminal: int) -> None:
    """Until nothing typed is shown: Ansible asks first, turns that off then, and throws away what was typed before."""
    deadline = time.monotonic() + _SILENCE_SECONDS
    while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(_FLUSH_SECONDS)


def _read(terminal: int) -> bytes:
    """Empty at the end, which Linux tells as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


if __name__ == "__main__":
    sys.exit(run(json.loads(sys.argv[1]), sys.argv[2:]))

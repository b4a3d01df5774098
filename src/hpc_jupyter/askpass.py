"""Ask ssh's question on the terminal of the person who waits, and print the answer for ssh.

ssh starts this as ``SSH_ASKPASS``, in a session without a terminal of its own. Run as a file: standard library only.
"""

from __future__ import annotations

import os
import sys
import termios

TERMINAL_VARIABLE = "HPC_JUPYTER_TERMINAL"


def main() -> int:
    """Exit code 1 tells ssh that there is no answer."""
    question = sys.argv[1] if len(sys.argv) > 1 else ""
    kind = os.environ.get("SSH_ASKPASS_PROMPT", "")
    path = os.environ.get(TERMINAL_VARIABLE, "")
    if not path:
        return 1
    with open(path, "r+b", buffering=0) as terminal:
        if kind == "none":
            terminal.write(f"{question}\r\n".encode())
            return 0
        answer = ask(terminal.fileno(), question, secret=kind != "confirm")
    print(answer)
    return 0 if kind != "confirm" or answer.lower() in ("y", "yes") else 1


def ask(terminal: int, question: str, *, secret: bool) -> str:
    """Ask on ``terminal``; what is typed is not shown if it is ``secret``."""
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] = before[3] & ~termios.ECHO if secret else before[3]
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
        os.write(terminal, question.encode() + (b"" if question.endswith((" ", "\n")) else b" "))
        return _line(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        if secret:
            os.write(terminal, b"\r\n")


def _line(terminal: int) -> str:
    content = b""
    while not content.endswith(b"\n"):
        piece = os.read(terminal, 1024)
        if not piece:
            break
        content += piece
    return content.decode("utf-8", "replace").rstrip("\r\n")


if __name__ == "__main__":
    sys.exit(main())

"""Tell a person who looks elsewhere that something has happened: by the desktop, or by a command of theirs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

TITLE = "hpc-jupyter"
_SECONDS = 20.0
_APPLE = ("-e", "on run argv", "-e", f'display notification (item 1 of argv) with title "{TITLE}"', "-e", "end run")
_DESKTOPS: Mapping[str, Sequence[str]] = {"notify-send": ("--app-name", TITLE, TITLE), "osascript": _APPLE}
"""Programs that show a message, by name, with what comes before the text."""


@dataclass(frozen=True)
class Notifier:
    """A program that gets the message as its last argument, and ``HPC_JUPYTER_…`` in its environment."""

    argv: tuple[str, ...]

    @classmethod
    def desktop(cls) -> Notifier:
        """The desktop's own notifications; raises ``BadInput`` where there are none."""
        name = next((name for name in _DESKTOPS if shutil.which(name)), "")
        if not name:
            raise BadInput(
                "--notify", f"needs one of the programs {', '.join(_DESKTOPS)}, and none is installed",
                hint="Install libnotify's notify-send, or use --notify-command",
            )
        return cls((name, *_DESKTOPS[name]))

    @classmethod
    def command(cls, text: str) -> Notifier:
        """A command line, split as a shell would and run without one; raises ``BadInput``."""
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise BadInput("--notify-command", f"{text!r}: {error}", hint="Close the quotes") from None
        if not words or not shutil.which(words[0]):
            raise BadInput("--notify-command", f"{(words or [text])[0]!r} is no program that can be run")
        return cls(tuple(words))

    def tell(self, text: str, about: Mapping[str, str]) -> str:
        """Run it; what went wrong, empty if nothing."""
        environment = {**os.environ, **{f"HPC_JUPYTER_{name.upper()}": value for name, value in about.items()}}
        try:
            done = subprocess.run(
                [*self.argv, text], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{self.argv[0]} took more than {_SECONDS:.0f} seconds"
        except OSError as error:
            return f"{self.argv[0]} cannot be run: {error.strerror}"
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = f": {said[-1]}" if said else ""
        return f"{self.argv[0]} failed (exit {done.returncode}){why}" if done.returncode else ""

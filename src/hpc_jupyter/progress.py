"""What a person sees while they wait: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """How progress is shown."""

    def say(self, text: str) -> None:
        """Note something that has happened."""

    def now(self, text: str) -> None:
        """Say what is going on at the moment; replaced by whatever comes next."""

    def tick(self) -> None:
        """Time has passed."""

    def done(self) -> None:
        """Nothing is going on any more."""


class Standing(Progress, Protocol):
    """Progress that can also show how things stand, for hours."""

    def stand(self, text: str) -> None:
        """Say how things stand, where a line can be changed in place; elsewhere only what happens is told."""


class Quiet:
    """For what goes on behind something that is shown already."""

    def say(self, text: str) -> None:
        """Nothing to do."""

    def now(self, text: str) -> None:
        """Nothing to do."""

    def stand(self, text: str) -> None:
        """Nothing to do."""

    def tick(self) -> None:
        """Nothing to do."""

    def done(self) -> None:
        """Nothing to do."""


class Plain:
    """One line for everything, without repeating itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def say(self, text: str) -> None:
        """Write a line."""
        if text != self._last:
            self._last = text
            print(text, file=self._stream, flush=True)

    def now(self, text: str) -> None:
        """Write a line, once."""
        self.say(text)

    def stand(self, text: str) -> None:
        """Nothing to do."""

    def tick(self) -> None:
        """Nothing to do."""

    def done(self) -> None:
        """Nothing to do."""


class Live:
    """A spinner with what is going on; what has happened stays above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive
        from rich.spinner import Spinner
        from rich.text import Text

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._spinner = Spinner("dots")
        self._live = RichLive(self._spinner, console=self._console, auto_refresh=False, transient=True)
        self._text = ""
        self._still = Text

    def say(self, text: str) -> None:
        """Write a line above the live one."""
        self._console.print(text, soft_wrap=True)

    def now(self, text: str) -> None:
        """Change the live line."""
        if text != self._text:
            self._text = text
            self._spinner.update(text=text)
            self._show(self._spinner)

    def stand(self, text: str) -> None:
        """Change the live line to one that does not turn."""
        if text != self._text:
            self._text = text
            self._show(self._still(text, overflow="ellipsis", no_wrap=True))

    def _show(self, what: Any) -> None:
        self._live.update(what)
        self._live.start()
        self._live.refresh()

    def tick(self) -> None:
        """Turn the spinner."""
        if self._live.is_started:
            self._live.refresh()

    def done(self) -> None:
        """Take the live line away."""
        self._text = ""
        self._live.stop()


def choose(stream: TextIO | None = None) -> Standing:
    """Live on a terminal that can, plain otherwise; always on standard error, so that output stays clean."""
    target = stream or sys.stderr
    return Live(target) if can_replace(target) else Plain(target)


def can_replace(stream: TextIO) -> bool:
    """Whether it is a terminal on which what is shown can be replaced."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"

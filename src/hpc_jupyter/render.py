"""The one place where results are printed: as text, or as one JSON object."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

from hpc_jupyter.exits import Exit


class Result(Protocol):
    """What a command returns."""

    @property
    def code(self) -> Exit:
        """The exit code it leads to."""

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""

    def lines(self) -> list[str]:
        """The text for a person."""


def show(result: Result, *, as_json: bool) -> Exit:
    """Print ``result`` on standard output; returns its exit code."""
    text = json.dumps(result.to_json(), ensure_ascii=False) if as_json else "\n".join(result.lines())
    sys.stdout.buffer.write(printable(text).encode("utf-8", "replace") + b"\n")
    sys.stdout.flush()
    return result.code


def printable(text: str) -> str:
    """``text`` without the control characters with which a log could redraw the terminal."""
    return "".join(char if char >= " " or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in text)

"""What the programs of a scheduler said, as it was recorded; every recording is there for a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result

Answer = dict[str, Any]
DATA = Path(__file__).parent.parent / "data"


class Recordings:
    """The answers in a file of ``tests/data``, which knows those that no test asked for while it was imported."""

    def __init__(self, file: str) -> None:
        self.whole: dict[str, Any] = json.loads((DATA / file).read_text())
        self._answers: dict[str, Answer] = {answer["name"]: answer for answer in self.whole["answers"]}
        self._used: set[str] = set()

    def one(self, name: str) -> Answer:
        """The answer of this name."""
        self._used.add(name)
        return self._answers[name]

    def of(self, command: str, chosen: Callable[[Answer], bool] = lambda _answer: True) -> list[Any]:
        """The answers of ``command`` that are ``chosen``, as parameters of a test."""
        named = [name for name, answer in self._answers.items() if f" {command} " in f" {answer['argv']} "]
        return [pytest.param(self.one(name), id=name) for name in named if chosen(self._answers[name])]

    def unused(self) -> list[str]:
        """The names of the answers that nobody took, and those that were given twice."""
        twice = [""] * (len(self.whole["answers"]) - len(self._answers))
        return sorted({*self._answers} - self._used) + twice


def result(answer: Answer) -> Result:
    """What running the program gave; one that had to be stopped is recorded as ``timeout`` ended it."""
    return Result(answer["code"], answer["out"], answer["err"], timed_out=answer["code"] == 124)

"""Contestants that take turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self


def _number(name: str, default: float) -> float:
    return float(os.environ.get(name) or default)


@dataclass(frozen=True)
class Settings:
    """How often and how long; the environment may say otherwise."""

    runs: int
    queue_minutes: float
    hold_minutes: float
    cut_seconds: float

    @classmethod
    def of_environment(cls) -> Self:
        """RUNS, QUEUE_MINUTES, HOLD_MINUTES and CUT_SECONDS."""
        return cls(
            runs=int(_number("RUNS", 5)),
            queue_minutes=_number("QUEUE_MINUTES", 10),
            hold_minutes=_number("HOLD_MINUTES", 10),
            cut_seconds=_number("CUT_SECONDS", 60),
        )


@dataclass(frozen=True)
class Turns:
    """What each contestant took, a sample a round; everyone's first turn only warms caches up and is not counted."""

    took: Mapping[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: int, **contestants: Callable[[], float]) -> Turns:
        """Let everyone have a turn in every round, in one order and in the other, one round after the other."""
        took: dict[str, list[float]] = {name: [] for name in contestants}
        for number in range(runs + 1):
            order = list(contestants)
            for name in reversed(order) if number % 2 else order:
                sample = contestants[name]()
                say(f"  {f'round {number}' if number else 'warm-up'}: {name} {sample:.2f}")
                took[name] += [sample] if number else []
        return cls(took)

    def __getitem__(self, name: str) -> list[float]:
        return self.took[name]


def say(text: str) -> None:
    """What is going on; standard output is for the table."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

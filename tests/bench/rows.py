"""A row of the table: what it says, what was measured, and whether its bar holds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Row:
    """A bar, and in one sentence what is compared with it."""

    name: str
    bar: float
    unit: str
    how: str
    sign: Literal["≤", "<", "≥"] = "≤"

    def allows(self, value: float) -> bool:
        """Whether a value is within the bar."""
        return {"≤": value <= self.bar, "<": value < self.bar, "≥": value >= self.bar}[self.sign]

    def shown(self, value: float) -> str:
        """A value with the row's unit."""
        return f"{value:.2f} {self.unit}" if self.unit else f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Result:
    """What was measured for a row: one sample a run, or the ``problem`` because of which there is none."""

    row: Row
    samples: Sequence[float] = ()
    detail: str = ""
    problem: str = ""

    @property
    def median(self) -> float:
        """The figure that is compared with the bar."""
        return statistics.median(self.samples)

    @property
    def holds(self) -> bool:
        """Whether the row was measured and the median is within its bar."""
        return bool(self.samples) and not self.problem and self.row.allows(self.median)

    @property
    def verdict(self) -> str:
        """In a word."""
        return "holds" if self.holds else "not measured" if self.problem or not self.samples else "MISSED"

    @property
    def measured(self) -> str:
        """The median, and the range that all runs were in."""
        if not self.samples:
            return "-"
        low, high = self.row.shown(min(self.samples)), self.row.shown(max(self.samples))
        return f"{self.row.shown(self.median)} ({low.removesuffix(self.row.unit).strip()} to {high})"


def against(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """How many times as long ours took, in each round."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def over(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """How much longer ours took, in each round."""
    return [one - other for one, other in zip(ours, theirs, strict=True)]


def medians(**each: Sequence[float]) -> str:
    """The seconds that stand behind a ratio."""
    return ", ".join(f"{name} {statistics.median(samples):.2f} s" for name, samples in each.items())

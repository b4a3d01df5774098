"""What `make bench` makes of its figures, and what its document says of it; the figures themselves take hours."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.bench.__main__ import GROUPS
from tests.bench.rounds import Turns
from tests.bench.rows import Result, Row

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("sign", "samples", "problem", "verdict"),
    [
        ("≤", [1, 2, 9], "", "holds"),
        ("≤", [1, 2.1, 2.2], "", "MISSED"),
        ("<", [2, 2, 2], "", "MISSED"),
        ("≥", [2, 2, 2], "", "holds"),
        ("≥", [1, 1, 9], "", "MISSED"),
        ("≤", [], "no figure", "not measured"),
        ("≤", [1], "cut off", "not measured"),
        ("≤", [], "", "not measured"),
    ],
)
def test_a_bar_is_for_the_median(
    sign: Literal["≤", "<", "≥"], samples: list[float], problem: str, verdict: str
) -> None:
    result = Result(Row("row", 2, "s", "how", sign), samples, problem=problem)
    assert (result.verdict, result.holds) == (verdict, verdict == "holds")


def test_a_figure_has_its_spread() -> None:
    assert Result(Row("row", 2, "s", "how"), [3, 1, 2]).measured == "2.00 s (1.00 to 3.00 s)"


def test_turns_are_taken_in_both_orders_and_the_first_does_not_count() -> None:
    order: list[str] = []

    def contestant(name: str) -> float:
        order.append(name)
        return len(order)

    turns = Turns.of(2, a=lambda: contestant("a"), b=lambda: contestant("b"))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert (turns["a"], turns["b"]) == ([4, 5], [3, 6])


def test_the_document_names_every_group_of_rows() -> None:
    document = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    told = next(line for line in document.splitlines() if line.startswith("| `ROWS` |"))
    assert [word for word in told.split("`") if word in GROUPS] == list(GROUPS)

"""The one table: for a terminal, as Markdown, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.rounds import Settings
from tests.bench.rows import Result

_HEAD = ("what", "measured: median (all runs)", "bar", "", "of")


def show(results: Sequence[Result], console: Console) -> None:
    """On a terminal or in a file."""
    table = Table(*_HEAD, show_lines=False)
    for result in results:
        style = None if result.holds else "bold red"
        table.add_row(*_cells(result), style=style)
    console.print(table)


def markdown(results: Sequence[Result], about: str) -> str:
    """For docs/performance.md."""
    rows = [f"| {' | '.join(cells)} |" for cells in (_HEAD, ("---",) * len(_HEAD), *map(_cells, results))]
    return "\n".join([about, "", *rows])


def write(path: Path, results: Sequence[Result], *, conditions: Mapping[str, object]) -> None:
    """As JSON."""
    rows = [
        {
            **asdict(result), "samples": list(result.samples), "median": result.median if result.samples else None,
            "holds": result.holds,
        }
        for result in results
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"conditions": conditions, "rows": rows}, indent=2) + "\n", encoding="utf-8")


def conditions(settings: Settings) -> dict[str, object]:
    """What the figures depend on besides."""
    return {
        **asdict(settings), "date": time.strftime("%Y-%m-%d %H:%M"), "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1), "system": platform.platform(), "python": platform.python_version(),
    }  # fmt: skip


def about(told: Mapping[str, object]) -> str:
    """The same in a sentence."""
    return (
        f"{told['date']}, {told['cores']} cores, load {told['load']} at the beginning, {told['runs']} runs by turns; "
        f"{told['queue_minutes']:g} minutes in the queue, {told['hold_minutes']:g} minutes of holding, "
        f"cuts of {told['cut_seconds']:g} s."
    )


def _cells(result: Result) -> tuple[str, ...]:
    row = result.row
    return (row.name, result.measured, f"{row.sign} {row.bar:g} {row.unit}".strip(), result.verdict,
            result.problem.splitlines()[0] if result.problem else result.detail)  # fmt: skip

"""Measure every row, print one table, and say by the exit code whether all bars hold.

usage: python -m tests.bench [GROUP]...   (all groups unless some are named)

The table is in .build/bench.json and, for docs/performance.md, in .build/bench.md as well. RUNS, QUEUE_MINUTES,
HOLD_MINUTES, CUT_SECONDS and ACCOUNTS say how often, for how long and with how many.
"""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType

from rich.console import Console

from hpclab import LabError
from tests import machine
from tests.bench import command, connect, environment, forward, healing, launch, memory, onboard, table, waiting
from tests.bench.places import Places
from tests.bench.rounds import Settings, say
from tests.bench.rows import Result

GROUPS: Mapping[str, ModuleType] = {
    group.__name__.rpartition(".")[2]: group
    for group in (launch, connect, onboard, environment, forward, waiting, healing, command, memory)
}
JSON = machine.BUILD / "bench.json"
MARKDOWN = machine.BUILD / "bench.md"
_TROUBLE = (LabError, AssertionError, OSError, ValueError, LookupError, RuntimeError, subprocess.SubprocessError)


def main(names: Sequence[str]) -> int:
    """Measure the groups called ``names``, or all; 0 when every bar holds."""
    machine.end_in_order()
    unknown = sorted(set(names) - set(GROUPS))
    if unknown:
        print(f"no such rows: {', '.join(unknown)}. There are: {', '.join(GROUPS)}")
        return 2
    refusal = machine.make_ready(root_needed=["bench"])
    if refusal:
        print(refusal)
        return 2
    os.environ.update(machine.environment())
    settings = Settings.of_environment()
    conditions = table.conditions(settings)
    results: list[Result] = []
    with ExitStack() as stack:
        places = Places(stack, settings)
        for name in names or GROUPS:
            results += _measured(name, places)
            table.write(JSON, results, conditions=conditions)
    text = "\n\n".join([table.markdown(results, table.about(conditions)), *places.notes])
    MARKDOWN.write_text(text + "\n", encoding="utf-8")
    _print(results, [table.about(conditions), *places.notes])
    return 0 if all(result.holds for result in results) else 1


def _measured(name: str, places: Places) -> Iterator[Result]:
    """Every row of the group, also where something goes wrong in the middle."""
    group, measured = GROUPS[name], []
    say(name)
    problem = "no figure"
    try:
        for result in group.measure(places):
            say(f"{result.row.name}: {result.measured}: {result.verdict}")
            measured.append(result.row)
            yield result
    except _TROUBLE as error:
        traceback.print_exc()
        problem = f"{type(error).__name__}: {error}"
    yield from (Result(row, problem=problem) for row in group.ROWS if row not in measured)


def _print(results: Sequence[Result], notes: Sequence[str]) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160
    table.show(results, console)
    for note in notes:
        print(f"\n{note}")
    print(f"\n{JSON.relative_to(machine.ROOT)} has all samples, {MARKDOWN.relative_to(machine.ROOT)} the table")


if __name__ == "__main__":
    sys.exit(main([name for argument in sys.argv[1:] for name in argument.split(",")]))

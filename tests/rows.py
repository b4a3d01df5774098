"""Which test shows which row of docs/reliability.md, and how it ended.

A test names its rows: ``@pytest.mark.rows("T1", "F20")``. As a pytest plugin this carries the names into the report;
``python -m tests.rows`` reads the document and the reports of the last run and prints row, result and test. It fails
where a row has neither a test that passed nor a reason, in the document, why there can be none ("Not tested: …").
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "reliability.md"
REPORTS = ROOT / ".build" / "test-output"
_ROW = re.compile(r"\| (?P<row>[TFB][0-9]+) \|(?P<rest>.*)\|")
_NAME = re.compile(r"[TFB][0-9]+")
_ARGUED = "Not tested: "


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "rows(*names): the rows of docs/reliability.md that the test shows to hold")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Carry the rows into the report."""
    for mark in item.iter_markers("rows"):
        for row in mark.args:
            if not _NAME.fullmatch(row):
                raise pytest.UsageError(f"{item.nodeid}: {row!r} is no row")
            item.user_properties.append(("row", row))


@dataclass(frozen=True)
class Shown:
    """A test that names a row, and how it ended: ``passed``, ``failed`` or ``skipped``."""

    test: str
    result: str


def rows(document: str) -> dict[str, str]:
    """Each row of the document, with the argument why it cannot be tested; empty where a test has to show it."""
    found = [match for line in document.splitlines() if (match := _ROW.fullmatch(line.strip()))]
    return {match["row"]: match["rest"].partition(_ARGUED)[2].strip() for match in found}


def shown(report: str) -> Iterator[tuple[str, Shown]]:
    """What one report of pytest's says: (row, test)."""
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - pytest wrote it
        result = "failed" if case.find("failure") is not None or case.find("error") is not None else "passed"
        result = "skipped" if case.find("skipped") is not None else result
        for entry in case.iter("property"):
            if entry.get("name") == "row":
                yield entry.get("value", ""), Shown(f"{case.get('classname')}::{case.get('name')}", result)


def table(wanted: Mapping[str, str], tests: Mapping[str, list[Shown]]) -> tuple[list[str], list[str]]:
    """The lines to print, and the rows for which nothing vouches."""
    lines, missing = [], []
    for row, argued in wanted.items():
        found = tests.get(row, [])
        lines += [f"{row:<4} {one.result:<8} {one.test}" for one in found]
        if not found and argued:
            lines.append(f"{row:<4} argued   {argued}")
        elif not found or any(one.result != "passed" for one in found):
            missing.append(row)
            lines += [] if found else [f"{row:<4} MISSING"]
    return lines, [*missing, *sorted(set(tests) - set(wanted))]


def main() -> int:
    """Print the table of the last run; 1 when it is not complete."""
    tests: dict[str, list[Shown]] = defaultdict(list)
    for path in sorted(REPORTS.glob("*.xml")):
        for row, test in shown(path.read_text(encoding="utf-8")):
            tests[row].append(test)
    lines, missing = table(rows(DOCUMENT.read_text(encoding="utf-8")), tests)
    print("\n".join(lines))
    print(f"not shown: {', '.join(missing)}" if missing else "every row is shown")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

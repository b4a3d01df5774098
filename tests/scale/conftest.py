"""One lab for all tests of this folder; what they took is printed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import figures, laptop
from tests.scale.office import MANY, Office


@pytest.fixture(scope="session")
def office() -> Iterator[Office]:
    """Accounts that nobody has ever entered, and their admin."""
    figures.forget("onboard")
    with laptop.up(f"scale-{os.getpid()}", topology=MANY) as lab:
        office = Office(laptop.Laptop(lab, "admin"))
        office.furnish()
        yield office


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What it took."""
    terminalreporter.write_line(figures.table())

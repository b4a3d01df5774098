"""One lab for all tests of this folder, a clean account for each test; what they count is printed at the end."""

from pathlib import Path

import pytest

from tests import figures
from tests.fixtures import alice, lab, running_lab

__all__ = ["alice", "lab", "running_lab"]

_SECONDS = 3600
"""The deadline of a test that has none of its own: many rounds and long waits are what this folder is for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder have time."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture(scope="session", autouse=True)
def _figures() -> None:
    figures.forget()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was counted."""
    terminalreporter.write_line(figures.table())

"""One lab for all tests of this folder, a clean account for each test; what they count is printed at the end."""

import pytest

from tests import figures
from tests.fixtures import alice, lab, running_lab

__all__ = ["alice", "lab", "running_lab"]


@pytest.fixture(scope="session", autouse=True)
def _figures() -> None:
    figures.forget()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was counted."""
    terminalreporter.write_line(figures.table())

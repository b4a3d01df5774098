"""One lab for all tests of this folder, a clean account for each test."""

from tests.fixtures import alice, lab, running_lab

__all__ = ["alice", "lab", "running_lab"]

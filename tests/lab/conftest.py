"""One lab for all tests of this folder, a clean account for each test."""

import os
from collections.abc import Iterator

import pytest

from hpclab import Bind, Lab, topologies

_USERS = [user.name for user in topologies.USERS]


@pytest.fixture(scope="session")
def lab_binds() -> tuple[Bind, ...]:
    """Directories of this machine that hosts see; override it to give them some."""
    return ()


@pytest.fixture(scope="session")
def running_lab(lab_binds: tuple[Bind, ...]) -> Iterator[Lab]:
    with Lab.up(topologies.SLURM, name=f"test-{os.getpid()}", binds=lab_binds) as lab:
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Lab:
    """The cluster, with its cables plugged in, and accounts in which nothing has happened yet."""
    running_lab.mend()
    for user in _USERS:
        running_lab.clean_account(user)
    return running_lab

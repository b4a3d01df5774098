"""One lab for all tests of a folder, a clean account for each test; a conftest names what it uses."""

import os
from collections.abc import Iterator

import pytest

from hpclab import Lab, topologies
from tests import laptop

_USERS = [user.name for user in topologies.USERS]


@pytest.fixture(scope="session")
def running_lab() -> Iterator[Lab]:
    with laptop.up(f"test-{os.getpid()}") as lab:
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Lab:
    """The cluster, with its cables plugged in, and accounts in which nothing has happened yet."""
    running_lab.mend()
    for user in _USERS:
        running_lab.clean_account(user)
    return running_lab


@pytest.fixture
def alice(lab: Lab) -> laptop.Laptop:
    """Alice at her laptop, with an inventory of her account; nothing was ever set up."""
    person = laptop.Laptop(lab)
    person.write_inventory()
    return person

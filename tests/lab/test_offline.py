"""A cluster without a way out: the laptop fetches the wheels, sends them, and they are really installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpclab import Lab
from tests import offline
from tests.laptop import Laptop, changed
from tests.wheelhouse import wheelhouse


@pytest.fixture
def alice(lab: Lab) -> Iterator[Laptop]:
    """Alice's laptop, and her account."""
    yield offline.prepare(lab, ["alice"])
    offline.clean(lab)


@pytest.mark.timeout(900)
def test_setup_without_a_package_index(alice: Laptop) -> None:
    first = offline.set_up(alice, seconds=600)
    count = str(len(list(wheelhouse().glob("*.whl"))))
    assert offline.SENT.findall(first.stdout) == [(count, count, f"{offline.SHARED}/wheels")]
    assert "pypi.org" in first.stdout
    again = offline.set_up(alice, seconds=300)
    assert (changed(again), offline.SENT.findall(again.stdout)) == (0, [])
    assert offline.left(alice.lab) == []
    assert offline.jupyter_runs(alice, "alice")

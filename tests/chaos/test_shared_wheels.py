"""Two accounts of a cluster without a way out, set up at once; then one that shares nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpclab import Lab
from tests import offline
from tests.laptop import Laptop, changed
from tests.wheelhouse import wheelhouse


@pytest.fixture
def pair(lab: Lab) -> Iterator[Laptop]:
    """Alice's laptop, and two accounts that she may enter."""
    yield offline.prepare(lab, ["alice", "bob"])
    offline.clean(lab)


def test_two_accounts_at_once_get_what_one_of_them_is_sent(pair: Laptop) -> None:
    first = offline.set_up(pair, seconds=1200)
    assert changed(first) > 0
    count, place = str(len(list(wheelhouse().glob("*.whl")))), f"{offline.SHARED}/wheels"
    assert sorted(offline.SENT.findall(first.stdout)) == sorted([(count, count, place), (count, "none", place)])
    assert offline.left(pair.lab) == []
    assert all(offline.jupyter_runs(pair, name) for name in ("alice", "bob"))


def test_without_a_shared_place_nothing_stays_in_the_home(pair: Laptop) -> None:
    pair.write_inventory()
    done = offline.set_up(pair, "-e", "jupyter_environment_offline=always", seconds=1200)
    [(_count, _sent, place)] = offline.SENT.findall(done.stdout)
    assert place == "/home/alice/.local/share/hpc-jupyter/lab/sent-wheels"
    assert "jupyter_environment_offline is always, so" in done.stdout
    assert offline.left(pair.lab) == []
    assert offline.jupyter_runs(pair, "alice")

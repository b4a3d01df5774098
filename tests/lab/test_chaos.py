"""A short chaos run; `make chaos` has long ones."""

import pytest

from tests.chaos.chaos import Scanner, run
from tests.chaos.world import BENCH, LAB, Session, World
from tests.laptop import Laptop

SEED, STEPS = 4307, 8


@pytest.mark.timeout(1200)
@pytest.mark.rows("T7", "T8", "F25", "F36")
def test_what_must_hold_holds_after_every_fault(alice: Laptop) -> None:
    world = World(alice, (Session(LAB, "default"), Session(BENCH, "default")))
    scanner = Scanner(world)
    with run(world, SEED) as chaos:
        for number in range(STEPS):
            chaos.step(number)
        scanner.look(["client", "gate", "login1", "login2", "c1", "c2"])
        scanner.check()
    assert len(chaos.steps) == STEPS

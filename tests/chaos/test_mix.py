"""Random faults, one at a time, over sessions on two clusters; `make chaos SEED=…` does the same again."""

from __future__ import annotations

import time

import pytest

from tests import figures
from tests.chaos.chaos import Scanner, run, seed
from tests.chaos.strikes import STRIKES
from tests.chaos.world import BENCH, LAB, Session, World
from tests.laptop import Laptop

STEPS, SCANS, PAUSE = 100, 1000, 0.7
MOST_SECONDS = 40 * 60
SESSIONS = (Session(LAB, "default"), Session(LAB, "second"), Session(BENCH, "default"))


@pytest.mark.timeout(2 * 3600)
@pytest.mark.rows("T7", "T8")
def test_what_must_hold_holds_after_every_fault(alice: Laptop) -> None:
    world, began = World(alice, SESSIONS), time.monotonic()
    with run(world, seed()) as chaos:
        with Scanner(world, pause=PAUSE) as scanner:
            for number in range(STEPS):
                chaos.step(number)
                scanner.check()
                if time.monotonic() - began > MOST_SECONDS:
                    break
            while scanner.scans < SCANS and not scanner.trouble:
                time.sleep(1)
        scanner.check()
    assert {strike.name for strike in STRIKES} <= set(chaos.counted)
    figures.note(
        "random faults", **chaos.figures(), mallory_scans=scanner.scans, canaries=len(scanner.findings),
        seconds=round(time.monotonic() - began),
    )  # fmt: skip

"""Five hundred submits that go wrong, while mallory looks on: one job each, none left."""

from __future__ import annotations

import concurrent.futures
import time
from collections import Counter

import pytest

from hpclab.process import until
from tests import faults, figures
from tests.chaos.chaos import Scanner, seed
from tests.chaos.world import LAB, Session, World
from tests.laptop import Laptop

FAULTS, SIDE_BY_SIDE = 500, 4
SCANNED = ("login1", "login2", "ctl", "c1", "c2")


@pytest.mark.timeout(2 * 3600)
@pytest.mark.rows("F1", "F2", "F5", "F35", "T7")
def test_hundreds_of_submit_faults_end_in_one_job_each(alice: Laptop) -> None:
    alice.set_up()
    faults.tiny_jobs(alice)
    number, began = seed(), time.monotonic()
    names = [f"s{each}" for each in range(SIDE_BY_SIDE)]
    world = World(alice, tuple(Session(LAB, name) for name in names))
    problems: list[str] = []
    with faults.submit_faults(alice.login, seed=number) as shim, Scanner(world, hosts=SCANNED) as scanner:
        with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            while len(shim.injected) < FAULTS:
                for done in pool.map(lambda name: faults.cycle(alice, name), names):
                    problems += [*done.problems, *done.said] if done.problems else []
                assert not problems, "\n".join([f"make chaos SEED={number} does the same again", *problems])
        injected = Counter(shim.injected)
    # What a shim was still going to submit late has been submitted by now, and has stepped back.
    until(lambda: not alice.squeue(), what="an empty queue", seconds=60)
    scanner.check()
    figures.note(
        "submit faults", seed=number, injected=injected.total(), doubles=0, orphans=0, mallory_scans=scanner.scans,
        canaries=len(scanner.findings), seconds=round(time.monotonic() - began), **dict(injected),
    )  # fmt: skip

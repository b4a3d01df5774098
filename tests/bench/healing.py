"""A forward whose network has been away."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.places import Places
from tests.bench.rounds import say
from tests.bench.rows import Result, Row
from tests.healing import Holding

HEALED = Row("forward healed after the network's return", 3, "s", "until the session answers at the same local address")
ROWS = (HEALED,)


def measure(places: Places) -> Iterator[Result]:
    """One cut after the other under the same connection."""
    desk, seconds = places.desk, places.settings.cut_seconds
    desk.clear()
    held, took = Holding.launch(desk.person), []
    for _each in range(places.settings.runs):
        desk.lab.cut("client")
        try:
            time.sleep(seconds)
        finally:
            desk.lab.heal("client")
        took.append(held.until(lambda: held.answers(seconds=0.5)))
        say(f"  healed after {took[-1]:.2f} s")
    yield Result(HEALED, took, f"cuts of {seconds:g} s at the laptop")
    desk.clear()

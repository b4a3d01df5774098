"""Coming back to a session that runs, with and without a connection that is open already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.bench.desk import Desk
from tests.bench.places import Places
from tests.bench.rounds import Turns
from tests.bench.rows import Result, Row, medians, over
from tests.laptop import PREFIX

COLD = Row("connect, no connection open, over plain ssh -L", 1.0, "s", "by the same hops to the same socket")
WARM = Row(
    "connect, connection open, over plain ssh -L", 0.4, "s",
    "by the same hops to the same socket, each through an open connection to the login host",
)  # fmt: skip
ROWS = (COLD, WARM)


class _Connections:
    def __init__(self, desk: Desk, record: dict[str, Any]) -> None:
        self.desk, self.record = desk, record
        self.url = desk.url(record)

    def ours_cold(self) -> float:
        self.desk.stop_holders()
        return self.ours()

    def ours(self) -> float:
        return self.desk.answered(self.desk.ours("connect", "alice@lab", "--no-browser")).seconds

    def plain_cold(self) -> float:
        self.desk.stop_holders()
        return self.desk.answered(self.desk.plain(self.record), url=self.url).seconds

    def ours_warm(self) -> float:
        self.desk.stop_holders()
        self.desk.person.cli("login", "alice@lab")
        return self.ours()

    def plain_warm(self) -> float:
        with self.desk.master() as control:
            return self.desk.answered(self.desk.plain(self.record, control=control), url=self.url).seconds

    def inventory(self) -> float:
        """What it costs to ask Ansible for one account."""
        argv = [f"{PREFIX}/bin/python", "/srv/bench/read_inventory.py", "inventory", "alice@lab"]
        return self.desk.ended(argv).seconds


def measure(places: Places) -> Iterator[Result]:
    """Both rows, by turns."""
    desk = places.desk
    desk.clear()
    desk.detached()
    took = _Connections(desk, desk.person.record())
    turns = Turns.of(
        places.settings.runs, cold=took.ours_cold, plain_cold=took.plain_cold, warm=took.ours_warm,
        plain_warm=took.plain_warm, inventory=took.inventory,
    )  # fmt: skip
    read = {"Ansible's reading of the inventory": turns["inventory"]}
    for row, kind in ((COLD, "cold"), (WARM, "warm")):
        ours, plain = turns[kind], turns[f"plain_{kind}"]
        yield Result(row, over(ours, plain), medians(ours=ours, plain=plain, **read))
    desk.clear()

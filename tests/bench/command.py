"""How quick the command is to say something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from tests.bench.places import Places
from tests.bench.rounds import Turns
from tests.bench.rows import TIMES, Result, Row, against, medians
from tests.laptop import PREFIX
from tests.scale.office import FILE, LOGIN, NAMES, Office

_TEN = NAMES[:10]
HELP = Row("hpc-jupyter --help", 0.2, "s", "as it is installed from the wheel")
OPEN = Row(
    f"status of {len(_TEN)} accounts on 3 clusters, against the slowest of them", 1.5, TIMES,
    "the slowest is asked about its own share of them; a connection to each account is open",
)  # fmt: skip
CLOSED = Row(
    "the same, no connection open", 1.5, TIMES, "as many logins as accounts: what the cores can do at once shows"
)
ROWS = (HELP, OPEN, CLOSED)
_ROUNDS = 3


def measure(places: Places) -> Iterator[Result]:
    """All by turns."""
    desk, runs = places.desk, places.settings.runs
    turns = Turns.of(_ROUNDS * runs, help=lambda: desk.ended([f"{PREFIX}/bin/hpc-jupyter", "--help"]).seconds)
    yield Result(HELP, turns["help"])
    for row, is_open in ((OPEN, True), (CLOSED, False)):
        asked = {name: [each for each in _TEN if each.endswith(f"@{name}")] for name in LOGIN}
        turns = Turns.of(
            runs, **{name: _status(places.office, each, is_open=is_open) for name, each in asked.items()},
            ten=_status(places.office, _TEN, is_open=is_open),
        )  # fmt: skip
        slowest = [max(each) for each in zip(*(turns[name] for name in LOGIN), strict=True)]
        yield Result(row, against(turns["ten"], slowest), medians(**turns.took))


def _status(office: Office, names: Sequence[str], *, is_open: bool) -> Callable[[], float]:
    def take() -> float:
        if not is_open:
            office.client.kill_all("admin")
        began = time.monotonic()
        office.person.run("hpc-jupyter", "-i", FILE, "status", *names)
        return time.monotonic() - began

    return take

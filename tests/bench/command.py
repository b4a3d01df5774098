"""How quick the command is to say something."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from tests.bench.desk import own_play
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
        turns = _by_turns(places, ["hpc-jupyter", "-i", FILE, "status"], is_open=is_open)
        ratios = against(turns["ten"], _slowest(turns))
        yield Result(row, ratios, f"{medians(**turns.took)}; {_least(places, is_open=is_open)}")


def _least(places: Places, *, is_open: bool) -> str:
    """The same of a play that does nothing at all on each of the accounts."""
    playbook = own_play(places.office.person, "    - ansible.builtin.ping:\n")
    turns = _by_turns(places, ["ansible-playbook", "-i", FILE, playbook], is_open=is_open, option="--limit")
    ratio = statistics.median(against(turns["ten"], _slowest(turns)))
    return f"a play that only connects and pings: {ratio:.2f} {TIMES}, {medians(ten=turns['ten'])}"


def _by_turns(places: Places, argv: Sequence[str], *, is_open: bool, option: str = "") -> Turns:
    """The seconds for each cluster's share of the ten, and for all of them."""
    asked = {name: [each for each in _TEN if each.endswith(f"@{name}")] for name in LOGIN} | {"ten": list(_TEN)}
    contestants = {
        name: _timed(places.office, [*argv, *([option, ",".join(each)] if option else each)], is_open=is_open)
        for name, each in asked.items()
    }  # fmt: skip
    return Turns.of(places.settings.runs, **contestants)


def _slowest(turns: Turns) -> list[float]:
    return [max(each) for each in zip(*(turns[name] for name in LOGIN), strict=True)]


def _timed(office: Office, argv: Sequence[str], *, is_open: bool) -> Callable[[], float]:
    def take() -> float:
        if not is_open:
            office.client.kill_all("admin")
        began = time.monotonic()
        office.person.run(*argv)
        return time.monotonic() - began

    return take

"""``onboard.yml`` where there is nothing to do: for one account, for ten, and for all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from tests.bench.desk import Desk, own_play
from tests.bench.places import Places
from tests.bench.rounds import Turns
from tests.bench.rows import TIMES, Result, Row, against, medians
from tests.laptop import changed
from tests.scale.office import ACCOUNTS, FORKS, NAMES, Office

_Costs = dict[str, list[str]]
FEW = 10 if ACCOUNTS > 10 else 2
ONE = Row("onboard.yml, one account, nothing to do", 8, "s", "ansible-playbook from begin to end, no connection open")
EACH = Row(
    f"onboard.yml, each of {ACCOUNTS} accounts, nothing to do", 0.6, "s",
    f"on three clusters, forks {FORKS}, begin to end, divided by the accounts",
)  # fmt: skip
LINEAR = Row(
    f"onboard.yml, an account of {ACCOUNTS} against one of {FEW}", 1.1, TIMES,
    "what an account costs must not grow with their number; a tenth is left to chance",
)  # fmt: skip
ROWS = (ONE, EACH, LINEAR)


def measure(places: Places) -> Iterator[Result]:
    """One account in the one lab, many in the other."""
    desk = places.desk
    desk.clear()
    desk.ended(desk.set_up_anew())
    yield Result(ONE, Turns.of(places.settings.runs, one=lambda: _one(desk))["one"])
    desk.clear()
    office = places.office
    costs: _Costs = {}
    turns = Turns.of(
        places.settings.runs, few=_each(office, NAMES[:FEW]), all=_each(office, NAMES, costs=costs),
        least=_least(office, costs=costs),
    )  # fmt: skip
    few, many, least = turns["few"], turns["all"], turns["least"]
    yield Result(EACH, many, f"{costs['ours'][-1]}; a play that only connects and pings: "
                             f"{statistics.median(least):.2f} s, {costs['least'][-1]}")  # fmt: skip
    yield Result(LINEAR, against(many, few), medians(few=few, all=many))


def _one(desk: Desk) -> float:
    desk.stop_holders()
    return desk.ended(desk.set_up_anew()).seconds


def _each(office: Office, names: tuple[str, ...], *, costs: _Costs | None = None) -> Callable[[], float]:
    """The seconds that each of them takes."""
    return lambda: _played(office, names, "hpc.jupyter.onboard", costs=costs, name="ours")


def _least(office: Office, *, costs: _Costs) -> Callable[[], float]:
    """What a play costs that does nothing at all on each of the accounts."""
    playbook = own_play(office.person, "    - ansible.builtin.ping:\n")
    return lambda: _played(office, NAMES, playbook, costs=costs, name="least")


def _played(office: Office, names: tuple[str, ...], playbook: str, *, costs: _Costs | None, name: str) -> float:
    office.client.kill_all("admin")
    played = office.play_any(playbook, "--limit", ",".join(names))
    assert played.done.returncode == 0, played.done.stdout
    assert changed(played.done) == 0, played.done.stdout
    here, there = played.here / len(names), played.there / len(names)
    if costs is not None:
        costs.setdefault(name, []).append(f"CPU s an account: {here:.2f} here, {there:.2f} there")
    return played.seconds / len(names)

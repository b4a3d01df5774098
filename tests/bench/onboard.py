"""``onboard.yml`` where there is nothing to do: for one account, for ten, and for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench.desk import Desk
from tests.bench.places import Places
from tests.bench.rounds import Turns, say
from tests.bench.rows import TIMES, Result, Row, against, medians
from tests.laptop import changed
from tests.scale.office import ACCOUNTS, FORKS, NAMES, Office

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
    turns = Turns.of(places.settings.runs, few=_each(office, NAMES[:FEW]), all=_each(office, NAMES))
    few, many = turns["few"], turns["all"]
    yield Result(EACH, many, f"{ACCOUNTS * sorted(many)[len(many) // 2]:.0f} s for all")
    yield Result(LINEAR, against(many, few), medians(few=few, all=many))


def _one(desk: Desk) -> float:
    desk.stop_holders()
    return desk.ended(desk.set_up_anew()).seconds


def _each(office: Office, names: tuple[str, ...]) -> Callable[[], float]:
    """The seconds that each of them takes."""

    def take() -> float:
        office.client.kill_all("admin")
        played = office.play("onboard", "--limit", ",".join(names))
        assert played.done.returncode == 0, played.done.stdout
        assert changed(played.done) == 0, played.done.stdout
        say(f"  {len(names)} accounts: {played.here:.0f} CPU s here, {played.there:.0f} CPU s there")
        return played.seconds / len(names)

    return take

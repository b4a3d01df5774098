"""From the command to the first answer, on an idle cluster and an account that is set up."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.bench import timeline
from tests.bench.desk import Desk, Timed, Visits, own_play
from tests.bench.places import Places
from tests.bench.rounds import Turns
from tests.bench.rows import TIMES, Result, Row, against, medians, over

_HOW = "from the command to the first authenticated answer through the local forward"
FLOOR = Row("cold launch, against the floor", 1.35, TIMES, f"{_HOW}; the floor does it with bare ssh and sbatch")
HAND = Row("cold launch, against the steps by hand", 1.0, TIMES, f"{_HOW}; one ssh a step, one look a second", "<")
PEER = Row("cold launch, against jupyter-forward", 1.0, TIMES, f"{_HOW}; without the three seconds that it sleeps", "<")
LOGINS = Row("logins on one hop in a cold launch", 1, "", "the most that the sshd of any one hop accepted")
EXECUTIONS = Row("remote commands in a cold launch", 4, "", "sessions that the sshd of all hops began, together")
PLAYBOOK = Row(
    "launch.yml alone, over the floor's submit-and-wait", 1.2, "s",
    "ansible-playbook over an open connection, begin to end, less the floor from its login to its job's file",
)  # fmt: skip
ROWS = (FLOOR, HAND, PEER, LOGINS, EXECUTIONS, PLAYBOOK)
_ROUNDS = 3
"""So many times the runs: Slurm starts jobs once a second, so a job waits for up to a second, whoever submits it."""

_GOLDEN = 0.618
"""Multiples of it are spread evenly over a second, however many there are."""


@dataclass
class _Launches:
    """Everybody's turn, and what was counted besides."""

    desk: Desk
    visits: list[Visits] = field(default_factory=list)
    submitted: list[float] = field(default_factory=list)
    turns: collections.Counter[str] = field(default_factory=collections.Counter)
    played: Timed | None = None

    def ours(self) -> float:
        self.desk.clear()
        self._await_part("ours")
        with self.desk.visits() as counted:
            took = self.desk.answered(self.desk.ours("launch", "alice@lab", "--no-browser"))
        self.visits += counted
        return took.seconds

    def floor(self) -> float:
        self.desk.clear()
        self._await_part("floor")
        took = self.desk.floor()
        self.submitted.append(took.at("floor ready") - took.at("floor connected"))
        return took.seconds

    def playbook(self) -> float:
        self.desk.clear()
        self.played = self._over_a_login("hpc.jupyter.launch")
        return self.played.seconds

    def least(self) -> float:
        """What a play costs that does nothing at all."""
        self.desk.clear()
        return self._over_a_login(own_play(self.desk.person, "    - ansible.builtin.ping:\n")).seconds

    def _over_a_login(self, playbook: str) -> Timed:
        self.desk.person.cli("login", "alice@lab")
        self._await_part(playbook)
        return self.desk.ended(self.desk.playbook(playbook))

    def turn(self, contestant: Callable[[], Timed]) -> Callable[[], float]:
        """One of the yardsticks of which only the time counts."""

        def take() -> float:
            self.desk.clear()
            self._await_part(contestant.__name__)
            return contestant().seconds

        return take

    def _await_part(self, whose: str) -> None:
        """Wait for the part of a second at which everybody begins in this round.

        A cluster is clear again once Slurm has had its turn: whoever begins then waits for the next one always as long.
        """
        part = self.turns[whose] * _GOLDEN % 1
        self.turns[whose] += 1
        time.sleep((part - time.time()) % 1)


def measure(places: Places) -> Iterator[Result]:
    """All rows, from the same rounds."""
    desk, runs = places.desk, _ROUNDS * places.settings.runs
    launches = _Launches(desk)
    turns = Turns.of(
        runs, ours=launches.ours, floor=launches.floor, hand=launches.turn(desk.by_hand),
        peer=launches.turn(desk.peer), playbook=launches.playbook, least=launches.least,
    )  # fmt: skip
    for row, name in ((FLOOR, "floor"), (HAND, "hand"), (PEER, "peer")):
        each = {"ours": turns["ours"], name: turns[name]}
        yield Result(row, against(turns["ours"], turns[name]), medians(**each))
    counted = launches.visits[-runs:]
    yield Result(LOGINS, [max(each.logins.values()) for each in counted], _told(counted[-1].logins))
    yield Result(EXECUTIONS, [sum(each.executions.values()) for each in counted], _told(counted[-1].executions))
    waited = launches.submitted[-runs:]
    of = medians(playbook=turns["playbook"], floor=waited, **{"a play that only pings": turns["least"]})
    yield Result(PLAYBOOK, over(turns["playbook"], waited), of)
    assert launches.played
    places.notes += [timeline.of_a_launch(desk), timeline.of_a_play(launches.played)]
    desk.clear()


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{host} {count}" for host, count in counts.items() if count)

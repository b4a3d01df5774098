"""The chaos run: one fault at a time, at rest or while a command runs, and what must hold after each."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from hpclab import LabError
from hpclab.process import until
from tests import mallory
from tests.chaos.strikes import STRIKES, Strike
from tests.chaos.world import HOSTS, Session, World

_HEALED_WITHIN = 90.0
_ATTEMPTS = 3
_ANEW = 0.6
"""How often a launch begins with no session there."""
_VERBS = ("", "", "launch", "connect", "status", "stop")
"""What is typed while a fault strikes; empty: nothing, the session is at rest."""


def seed() -> int:
    """``SEED``, if it was given."""
    given = os.environ.get("SEED", "")
    return int(given) if given else random.randrange(10**6)  # noqa: S311 - no secret


def drawn(number: int, step: int, deck: Sequence[Strike]) -> Strike:
    """Every fault once, in an order of chance, before one comes again."""
    cards, (turn, at) = list(deck), divmod(step, len(deck))
    random.Random(f"{number} deck {turn}").shuffle(cards)  # noqa: S311 - no secret
    return cards[at]


class Scanner:
    """Mallory, who looks around on one host after the other as long as this is entered, and pauses in between."""

    def __init__(self, world: World, *, hosts: Sequence[str] = HOSTS, pause: float = 0.0) -> None:
        self.scans = 0
        self.findings: list[mallory.Finding] = []
        self.trouble = ""
        self._world, self._hosts, self._pause = world, hosts, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._scan_all)

    def look(self, hosts: Sequence[str]) -> None:
        """One scan of each."""
        for host in hosts:
            seen = mallory.look(self._world.lab, host, self._world.secrets())
            self.findings += seen.findings
            assert seen.looked, f"mallory saw nothing at all on {host}"
            self.scans += 1

    def _scan_all(self) -> None:
        try:
            for host in itertools.cycle(self._hosts):
                self.look([host])
                if self._over.wait(self._pause):
                    return
        except (AssertionError, LabError, OSError, ValueError) as error:
            self.trouble = str(error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=120)

    def check(self) -> None:
        """Nothing was found, by somebody who has looked."""
        assert not self.findings, self.findings
        assert not self.trouble, self.trouble


@dataclass
class Run:
    """One run: what is done is decided by the seed and the step's number alone."""

    world: World
    seed: int
    steps: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def begin(self) -> None:
        """Every session, ready and connected."""
        started = [(session, self.world.begin("launch", session)) for session in self.world.sessions]
        for session, process in started:
            told = process.communicate(timeout=280)[0]
            assert process.returncode == 0, f"{session}: {told}"
            self._relaunch(session)
        self.world.agree()

    def step(self, number: int, *, among: Sequence[Strike] = STRIKES) -> None:
        """One fault, and what must hold afterwards."""
        dice = random.Random(f"{self.seed} {number}")  # noqa: S311 - no secret
        strike = drawn(self.seed, number, among)
        session = dice.choice([each for each in self.world.sessions if each.cluster in strike.clusters])
        verb = dice.choice([each for each in _VERBS if each or not strike.busy])
        self.steps.append(f"step {number}: {strike.name}, {session}" + (f", during {verb}" if verb else ""))
        print(self.steps[-1], flush=True)
        self.counted[strike.name] += 1
        self.world.await_age(session, seconds=strike.old)
        before = self.world.record(session).get("job_id")
        is_new = verb == "launch" and dice.random() < _ANEW
        if is_new:
            self._stop(session)
        if verb:
            self._strike_during(verb, strike, session, dice)
        else:
            self._strike(strike, session, dice)
            if strike.heals:
                self._healed(session)
        found = self.world.record(session)
        self._settle(session)
        if verb == "status":
            self._see_ready(session)
        lived = strike.lives and verb != "stop" and not is_new
        now = self.world.record(session).get("job_id")
        assert not lived or now == before, f"{session}: job {now}, not {before}; after the fault its record was {found}"

    def _strike(self, strike: Strike, session: Session, dice: random.Random) -> None:
        with strike.act(self.world, session, dice) as hit:
            assert hit != 0, "there was nothing to strike"
            time.sleep(dice.uniform(*strike.seconds))

    def _strike_during(self, verb: str, strike: Strike, session: Session, dice: random.Random) -> None:
        """At any moment of the command; which one differs from run to run, as its speed does."""
        with self.world.begin(verb, session) as process:
            time.sleep(dice.uniform(0, 5))
            with strike.act(self.world, session, dice):
                time.sleep(dice.uniform(*strike.seconds))
            told = process.communicate(timeout=280)[0]
        assert "Traceback" not in told, told
        if verb in ("launch", "connect") and process.returncode == 0:
            self.counted["commands that succeeded all the same"] += 1

    def _healed(self, session: Session) -> None:
        """The address that was given answers again, without anything typed."""
        began = time.monotonic()
        until(lambda: self.world.reached(session), what=f"{session} at its old address", seconds=_HEALED_WITHIN)
        self.counted["healed by themselves"] += 1
        self.slowest = max(self.slowest, time.monotonic() - began)

    def _settle(self, session: Session) -> None:
        """The same command again, until it says ready; then all that must hold."""
        if self.world.record(session):
            self.world.agree(session)
        self._relaunch(session)
        self.world.agree()
        wrong = self.world.open_files()
        assert not wrong, wrong

    def _relaunch(self, session: Session) -> None:
        said = []
        for _attempt in range(_ATTEMPTS):
            done = self.world.run("launch", session)
            if done.returncode == 0:
                break
            said.append(f"exit {done.returncode}: {done.stderr.strip()}")
            print(said[-1], flush=True)
            self.counted["launches that had to be repeated"] += 1
        else:
            raise AssertionError(f"{session} is not ready after {_ATTEMPTS} launches: {said}")
        told = _told(done.stdout)
        assert told["state"] == "ready", told
        self.world.urls[session] = str(told["url"])
        assert self.world.reached(session), f"{session}: said to be ready, and does not answer"

    def _see_ready(self, session: Session) -> None:
        """The command on the laptop says so too."""
        done = self.world.run("status", session)
        [account] = json.loads(done.stdout)["accounts"]
        states = {each["session"]: each["state"] for each in account["sessions"]}
        assert states.get(session.name) == "ready", done.stdout

    def _stop(self, session: Session) -> None:
        done = self.world.run("stop", session)
        assert done.returncode == 0, done.stderr

    def end(self) -> None:
        """Stop everything and log out: nothing is left."""
        for session in self.world.sessions:
            self._stop(session)
        for account in {session.account for session in self.world.sessions}:
            config = f"/home/alice/.local/state/hpc-jupyter/{account}/ssh_config"
            name = account.partition("@")[2]
            self.world.client.run(["ssh", "-F", config, "-O", "exit", name], user="alice", check=False)
        last: list[str] = []

        def is_quiet() -> bool:
            last[:] = self.world.left()
            return not last

        try:
            until(is_quiet, what="quiet", seconds=30)
        except LabError:
            raise AssertionError(f"left behind: {last}") from None

    def figures(self) -> Mapping[str, float | str]:
        """What was counted."""
        faults = len(self.steps)
        return {"seed": self.seed, "faults": faults, **self.counted, "slowest_to_heal_seconds": round(self.slowest, 1)}


@contextmanager
def run(world: World, number: int) -> Iterator[Run]:
    """A run that has begun, and is ended; where it fails, its steps are told."""
    made = Run(world, number)
    world.set_up()
    try:
        with world.clocks():
            made.begin()
            yield made
            made.end()
    except BaseException as error:
        error.add_note("\n".join([f"make chaos SEED={number} does the same again", *made.steps]))
        raise


def _told(text: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(text)
    return told

"""What the network does to a session in use: long cuts, sleep, another address, and a hundred cuts at random."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hpclab import Lab
from hpclab.host import RunningHost
from tests import figures
from tests.healing import Holding
from tests.laptop import JUPYTER, ROOT, Laptop

HEALS_SECONDS = 5.0
CUTS = int(os.environ.get("NETWORK_CUTS", "100"))
LONG_SECONDS = 60.0
TAB, SEEN = "/tmp/tab.py", "/tmp/tab-of-alice"


@pytest.fixture
def held(alice: Laptop) -> Holding:
    """A session that the laptop is connected to."""
    return Holding.launch(alice)


@pytest.mark.rows("F21")
@pytest.mark.parametrize("hosts", [["client"], ["gate"]])
def test_after_a_cut_of_a_minute_it_heals_in_seconds(held: Holding, lab: Lab, hosts: list[str]) -> None:
    with _cut(lab, hosts):
        time.sleep(LONG_SECONDS)
        assert not held.answers()
    took = held.until(held.answers)
    _figure(f"a cut of {LONG_SECONDS:.0f} s at {' and '.join(hosts)} healed", took)
    assert took <= HEALS_SECONDS
    assert any("does not answer; trying again" in line for line in held.log())


@pytest.mark.rows("F21", "F39")
def test_a_cut_behind_the_gateway_heals_too(held: Holding, lab: Lab) -> None:
    with _cut(lab, ["login1", "login2"]):
        time.sleep(LONG_SECONDS)
    _figure("a cut behind the gateway healed", held.until(held.answers))


@pytest.mark.rows("F39")
def test_without_the_login_host_another_one_leads_there(held: Holding, lab: Lab) -> None:
    with _cut(lab, ["login1"]):
        lab.resolve("login", ["login2", "login1"])
        _figure("the way over another login host was found", held.until(held.answers))


@pytest.mark.rows("F22")
@pytest.mark.parametrize("gave_up", [False, True])
def test_after_sleep_it_is_there_at_once(held: Holding, lab: Lab, *, gave_up: bool) -> None:
    sleeping = held.all_of_ours()
    held.kill(*sleeping, signal="STOP")
    if gave_up:
        gate = lab.host("gate")
        gate.run(["pkill", "-KILL", "-u", "alice"], check=False)
    time.sleep(20)
    held.kill(*sleeping, signal="CONT")
    took = held.until(held.answers)
    _figure(f"after sleep, where the server {'gave up' if gave_up else 'waited'}, it answered", took)
    assert took <= HEALS_SECONDS * (2 if gave_up else 1)


@pytest.mark.rows("F23")
def test_with_another_address_it_heals(held: Holding, lab: Lab) -> None:
    client = lab.host("client")
    shown = client.run(["ip", "-o", "-4", "addr", "show", "scope", "global"]).stdout.split()
    interface, address = shown[1], shown[3]
    other = f"{address.rpartition('.')[0]}.77/{address.partition('/')[2]}"
    routes = client.run(["ip", "route", "show"]).stdout.splitlines()
    try:
        _readdress(client, interface, address, other, routes)
        took = held.until(held.answers)
    finally:
        _readdress(client, interface, other, address, routes)
    _figure("with another address, it answered", took)
    assert took <= 2 * HEALS_SECONDS


def _readdress(client: RunningHost, interface: str, old: str, new: str, routes: list[str]) -> None:
    """Another address for the laptop, and the routes that went with the old one."""
    client.run(["ip", "addr", "del", old, "dev", interface])
    client.run(["ip", "addr", "add", new, "dev", interface])
    for route in routes:
        if " via " in route:
            client.run(["ip", "route", "replace", *route.split()], check=False)


@pytest.mark.rows("F20", "F21", "F25", "F45")
def test_a_hundred_cuts_under_a_kernel_that_prints(held: Holding, lab: Lab) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**6))  # noqa: S311
    chance = random.Random(seed)  # noqa: S311
    kernel, took, away = _tab(held), [], 0.0
    for number in range(CUTS):
        cut, begun = chance.choice(_CUTS), time.monotonic()
        cut(held, lab, chance)
        took.append(held.until(held.answers))
        away += time.monotonic() - begun
        _figure(f"{number + 1}: {cut.__name__[1:]}: healed after", took[-1])
        time.sleep(chance.uniform(0.5, 3))
    seen, kept = _end(held)
    _figure(f"{CUTS} cuts (seed {seed}): healed after, in the middle", statistics.median(took))
    _figure("at the most", max(took))
    print(f"kernel {kernel} has all of its {kept} lines, the tab has {len(set(seen))} of them in {len(seen)}, "
          f"it was cut off for {away:.0f} s")
    assert len(took) == CUTS
    assert kept > CUTS
    assert seen == list(range(len(seen)))
    assert len(seen) in (kept, kept - 1)  # the interrupt may come between counting and printing


def _short(_held: Holding, lab: Lab, chance: random.Random) -> None:
    with _cut(lab, [chance.choice(["client", "gate"])]):
        time.sleep(chance.uniform(0.5, 6))


def _longer(_held: Holding, lab: Lab, chance: random.Random) -> None:
    with _cut(lab, [chance.choice(["client", "gate"])]):
        time.sleep(chance.uniform(10, 20))


def _kill_jump(held: Holding, _lab: Lab, _chance: random.Random) -> None:
    held.kill(*held.ssh()[-1:])


def _kill_forward(held: Holding, _lab: Lab, _chance: random.Random) -> None:
    held.kill(*held.ssh()[:1])


def _kill_master(held: Holding, _lab: Lab, _chance: random.Random) -> None:
    held.kill(held.master())


def _sleep(held: Holding, _lab: Lab, chance: random.Random) -> None:
    asleep = [pid for pid in held.all_of_ours() if pid not in _tabs(held)]
    held.kill(*asleep, signal="STOP")
    time.sleep(chance.uniform(1, 8))
    held.kill(*asleep, signal="CONT")


_CUTS: list[Callable[[Holding, Lab, random.Random], None]] = [
    _short, _short, _short, _longer, _kill_jump, _kill_forward, _kill_master, _sleep,
]


@contextmanager
def _cut(lab: Lab, hosts: list[str]) -> Iterator[None]:
    for host in hosts:
        lab.cut(host)
    try:
        yield
    finally:
        for host in hosts:
            lab.heal(host)


def _tab(held: Holding) -> str:
    """Leave a tab open; the id of its kernel."""
    client = held.alice.lab.host("client")
    client.write(TAB, (ROOT / "tests/tab.py").read_text(encoding="utf-8"))
    client.run(["rm", "-f", SEEN])
    client.popen([f"{JUPYTER}/bin/python", TAB, str(held.told["url"]), SEEN], user="alice")
    held.until(lambda: client.exists(SEEN) and len(client.read(SEEN).splitlines()) > 3)
    return client.read(SEEN).splitlines()[0]


def _tabs(held: Holding) -> list[int]:
    found = held.alice.lab.host("client").processes(user="alice")
    return [pid for pid, argv in found if TAB in argv]


def _end(held: Holding) -> tuple[list[int], int]:
    """The numbers that the tab has seen, and how many the very kernel it began with says that it printed."""
    client = held.alice.lab.host("client")
    held.kill(*_tabs(held), signal=signal.SIGINT.name.removeprefix("SIG"))
    held.until(lambda: not _tabs(held))
    words = client.read(SEEN).split()
    [kept] = [int(words[index + 1]) for index, word in enumerate(words) if word == "kept"]
    return [int(word) for word in words[1 : words.index("kept")] if word.isdigit()], kept


def _figure(what: str, seconds: float) -> None:
    print(f"{what} {seconds:.1f} s")
    figures.note(what, seconds=round(seconds, 1))

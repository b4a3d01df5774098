"""When a connection is looked after, what is said of an outage, and when it is tried again."""

from __future__ import annotations

import time

import pytest

from hpc_jupyter import access, hold
from hpc_jupyter.door import Door
from hpc_jupyter.errors import Failure, Unreachable, Waiting
from hpc_jupyter.outage import Outage, first_sentence
from tests.cli.conftest import World


@pytest.mark.rows("F50")
def test_a_slow_login_has_its_time() -> None:
    assert access._LOGIN_SECONDS >= 60
    assert max(hold._LOGIN_SECONDS) >= 60


@pytest.mark.rows("F22")
def test_after_sleep_the_session_is_asked_at_once() -> None:
    watch = hold._Watch.begin("10.0.0.2")
    assert not watch.is_due("10.0.0.2")
    watch.clock -= 60
    assert watch.is_due("10.0.0.2")
    assert watch.shaken
    assert not watch.is_due("10.0.0.2")


@pytest.mark.rows("F23")
def test_with_another_address_the_session_is_asked_at_once() -> None:
    watch = hold._Watch.begin("10.0.0.2")
    assert watch.is_due("")
    assert watch.is_due("10.0.7.9")


@pytest.mark.rows("F24")
def test_pauses_are_short_for_the_network_and_long_for_a_closed_door() -> None:
    long_ago = time.time() - 3600
    outage = Outage(print, tries=4)
    turned_away = [outage.pause_after(Unreachable("x", cause="turned away")) for _each in range(1100)]
    assert 10 <= turned_away[0] <= 20
    assert 200 < max(turned_away) <= 390
    assert 0.2 <= Outage(print).knock_pause() <= 0.4
    assert Outage(print, since=time.time() - 60).knock_pause() <= 0.4
    assert 40 < Outage(print, since=long_ago).knock_pause() <= 78
    assert Outage(print).pause_after(Unreachable("x")) <= 1.3
    assert Outage(print).pause_after(Waiting("x")) <= 1.3
    assert len({Outage(print).knock_pause() for _each in range(9)}) > 1


def test_what_is_told_of_an_error_is_its_first_sentence() -> None:
    error = Failure("lab: gateway gate: port 22 cannot be reached (No route to host). Check this machine's network")
    assert first_sentence(error, "lab") == "gateway gate: port 22 cannot be reached (No route to host)"


def test_a_way_that_begins_with_a_program_of_the_persons_own_cannot_be_knocked_at(world: World) -> None:
    config = world.home / "own_config"
    assert Door.of(world.cluster, world.access.files).host == "127.0.0.1"
    config.write_text("Match originalhost lab\n  ProxyCommand nc %h %p\n" + config.read_text())
    door = Door.of(world.cluster, world.access.files)
    assert (door.host, door.is_open(), door.own_address()) == ("", True, "")


def test_two_reasons_that_take_turns_are_told_once_each() -> None:
    said: list[str] = []
    outage = Outage(said.append)
    for _each in range(3):
        for why in ("nobody within 10 seconds", "nobody within 60 seconds"):
            outage.tell(why)
    assert len(said) == 2
    outage.tell("nobody was let in", then="log in once")
    outage.tell("no such host")
    outage.tell("nobody was let in", then="log in once")
    assert [text.rpartition("; ")[2] for text in said[2:]] == ["log in once", "trying again", "log in once"]

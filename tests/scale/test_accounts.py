"""Many accounts over three clusters: all at once, killed, without one of the clusters, and given up again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from tests import figures
from tests.laptop import changed
from tests.scale.office import ACCOUNTS, GATE, NAMES, Office, Played

pytestmark = pytest.mark.timeout(3 * 3600)
FEW = 10 if ACCOUNTS > 10 else 2
KILLED = [
    ("Let the key in", False),
    ("Make, repair or check the environment", True),
    ("Install and configure what sessions need", False),
]
"""In which task of ``onboard``, and whether everything of the admin's ends with it."""


@dataclass(frozen=True)
class Onboarded:
    """Two runs one after the other, and what there was afterwards, and before."""

    first: Played
    second: Played
    homes: dict[str, str]
    untouched: dict[str, str]


@pytest.fixture(scope="session", name="whole")
def _whole(office: Office) -> Onboarded:
    """All accounts, on their first day and on the next."""
    office.renew()
    untouched = office.homes(exact=True)
    first = office.play("onboard")
    homes = office.homes(exact=False)
    second = office.play("onboard")
    assert office.homes(exact=False) == homes
    return Onboarded(first, second, homes, untouched)


def _note(count: int, first: Played, second: Played) -> None:
    """Information; how quick a machine is proves nothing."""
    for run, played in (("first run", first), ("nothing to do", second)):
        took = {"seconds": played.seconds, "cpu_seconds_here": played.here, "cpu_seconds_there": played.there}
        each = {f"{name}_an_account": round(value / count, 2) for name, value in took.items()}
        figures.note(f"onboard of {count} accounts, {run}", seconds=round(played.seconds), **each)


def _results(played: Played) -> Counter[str]:
    return Counter(row.result for row in played.rows.values())


def test_few_accounts_at_once(office: Office) -> None:
    few = NAMES[:FEW]
    office.renew()
    first, second = (office.play("onboard", "--limit", ",".join(few)) for _number in range(2))
    assert changed(first.done) >= len(few)
    assert changed(second.done) == 0
    assert set(first.rows) == set(few)
    _note(len(few), first, second)


def test_all_accounts_are_set_up_at_once_and_the_second_time_nothing_changes(whole: Onboarded) -> None:
    assert changed(whole.first.done) >= ACCOUNTS, whole.first.done.stdout
    assert changed(whole.second.done) == 0
    assert (whole.first.done.returncode, whole.second.done.returncode) == (0, 0)
    assert _results(whole.first) == {"done": ACCOUNTS}
    assert _results(whole.second) == {"already done": ACCOUNTS}
    for name, row in whole.first.rows.items():
        person, _at, cluster = name.partition("@")
        assert row.told == f"in /home/{person}/.local/share/hpc-jupyter/{cluster}"
    assert sorted(whole.first.rows) == sorted(NAMES)
    assert f'"{ACCOUNTS} accounts: {ACCOUNTS} done"' in whole.first.done.stdout
    _note(ACCOUNTS, whole.first, whole.second)


def test_a_broken_cluster_costs_only_its_own_rows(office: Office, whole: Onboarded) -> None:
    office.renew()
    with office.without_sshd(GATE):
        broken = office.play("onboard")
    of_bee = [name for name in NAMES if name.endswith("@bee")]
    assert broken.done.returncode == 2, broken.done.stdout
    assert _results(broken) == {"done": ACCOUNTS - len(of_bee), "failed": len(of_bee)}
    reason = "gateway gate: port 22 cannot be reached from this machine (Connection refused). "
    assert all(broken.rows[name].result == "failed" and broken.rows[name].told.startswith(reason) for name in of_bee)
    again = office.play("onboard")
    assert again.done.returncode == 0, again.done.stdout
    assert _results(again) == {"done": len(of_bee), "already done": ACCOUNTS - len(of_bee)}
    assert office.homes(exact=False) == whole.homes


def test_what_was_killed_in_the_middle_ends_in_the_same_state(office: Office, whole: Onboarded) -> None:
    office.renew()
    for task, everything in KILLED:
        office.kill_in(task, after=max(1, ACCOUNTS // 2), everything=everything)
    done = office.play("onboard")
    assert changed(done.done) > 0
    assert done.done.returncode == 0, done.done.stdout
    assert len(done.rows) == ACCOUNTS
    assert set(_results(done)) <= {"done", "already done"}
    assert changed(office.play("onboard").done) == 0
    assert office.homes(exact=False) == whole.homes


def test_some_are_given_up_and_their_homes_are_as_they_were(office: Office, whole: Onboarded) -> None:
    assert office.play("onboard").done.returncode == 0
    gone = NAMES[::4]
    before = office.homes(exact=True)
    done = office.play(
        "offboard", "--limit", ",".join(gone), "-e", "jupyter_access_all=true", "-e", "jupyter_access_remove_key=true"
    )
    assert done.done.returncode == 0, done.done.stdout
    assert {name: row.result for name, row in done.rows.items()} == dict.fromkeys(gone, "removed")
    after = office.homes(exact=True)
    homes = tuple(f"login-{cluster}:{person}/" for person, _at, cluster in (name.partition("@") for name in gone))
    assert {path: told for path, told in after.items() if path.startswith(homes)} == {
        path: told for path, told in whole.untouched.items() if path.startswith(homes)
    }
    ours = ("client:", *homes)
    assert {path: told for path, told in after.items() if not path.startswith(ours)} == {
        path: told for path, told in before.items() if not path.startswith(ours)
    }

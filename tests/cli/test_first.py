"""``launch --first``: which accounts it means, which session it keeps, and what is left of it whoever dies when."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, Busy
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

from hpc_jupyter import journal, options, racers
from hpc_jupyter.access import Access
from hpc_jupyter.commands import connect, first
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached, Failure, Unreachable, Waiting
from hpc_jupyter.events import HostResult, PlayResult
from hpc_jupyter.exits import Exit
from tests.cli.test_command import run

NAMES = ("alice@cori", "alice@hydra", "alice@dice")
TEXT = "cori,hydra,dice"
WANTED = options.launch({"session": "default"})


class Killed(BaseException):
    """Nothing runs after it: no handler, no cleaning up."""


@dataclass
class Fleet:
    """Three clusters and their queues; ``starts`` are ready when they are looked at for the second time.

    ``unreachable`` accounts do not answer, ``refusing`` ones refuse the job. ``said`` is what the person was told.
    ``step`` is called whenever something has been done, anywhere.
    """

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    starts: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)
    jobs: int = 10
    step: Callable[[], None] = lambda: None

    def put(self, name: str, state: str, race: str = "") -> None:
        """A session that is there."""
        self.jobs += 1
        self.sessions[name] = {
            "account": name, "session": "default", "state": state, "race": race, "job_id": str(self.jobs), "reason": "",
        }  # fmt: skip

    def live(self) -> dict[str, str]:
        """The sessions that run or wait, with their states."""
        return {name: each["state"] for name, each in self.sessions.items() if each["state"] != "ended"}

    def look(self, _context: Context, _race: journal.Race, names: Sequence[str]) -> first.Sessions:
        """In the place of ``status``."""
        seen = {name: dict(self.sessions[name]) for name in names if name in self.sessions}
        seen = {name: each for name, each in seen.items() if name not in self.unreachable}
        for name in self.starts & set(self.live()):
            self.sessions[name]["state"] = "ready"
        self.step()
        return seen

    def play(self, _context: Context, playbook: str, names: Sequence[str], variables: Mapping[str, Any]) -> PlayResult:
        """In the place of Ansible: one account after the other, and after each it may be over."""
        act = {"hpc.jupyter.launch": self._submit, "hpc.jupyter.stop": self._stop}[playbook]
        hosts = {}
        for name in names:
            gone = HostResult(name, failed=True, unreachable=True, message="no route to host")
            hosts[name] = gone if name in self.unreachable else act(name, variables["jupyter_session_race"])
            self.step()
        return PlayResult(not any(host.failed for host in hosts.values()), hosts)

    def _submit(self, name: str, race: str) -> HostResult:
        if name in self.refusing:
            return HostResult(name, failed=True, message="invalid partition", kind="refused")
        if name not in self.live():
            self.put(name, "queued", race)
        return HostResult(name, session=dict(self.sessions[name]))

    def _stop(self, name: str, race: str) -> HostResult:
        meant = name in self.live() and self.sessions[name]["race"] == race
        if meant:
            self.sessions[name]["state"] = "ended"
        return HostResult(name, changed=meant, session=dict(self.sessions[name]) if meant else {})


@pytest.fixture(name="fleet")
def _fleet(short_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet()
    monkeypatch.setenv("XDG_STATE_HOME", str(short_directory / "state"))
    progress = SimpleNamespace(say=made.said.append, now=lambda _: None, done=lambda: None)
    cluster = SimpleNamespace(local=False, jupyterhub_url="")
    account = SimpleNamespace(cluster=cluster, facts={}, origins={})
    monkeypatch.setattr(Context, "accounts", SimpleNamespace(accounts=dict.fromkeys(NAMES), sources=("hosts.yml",)))
    monkeypatch.setattr(Context, "account", lambda _self, _name: account)
    monkeypatch.setattr(Context, "access", lambda _self, _name: None)
    monkeypatch.setattr(Context, "progress", progress)
    monkeypatch.setattr(Context, "connector", lambda _self, _access, session: session)
    monkeypatch.setattr(racers, "check", lambda *_: None)
    monkeypatch.setattr(Access, "to", lambda _cluster: SimpleNamespace(installed_version=lambda: VERSION))
    monkeypatch.setattr(first, "_look", made.look)
    monkeypatch.setattr(first, "_play", made.play)
    monkeypatch.setattr(first, "_sleep", lambda _seconds: None)
    monkeypatch.setattr(connect, "link", lambda *_: "a link")
    for name in ("write", "forget"):
        monkeypatch.setattr(journal.Race, name, _stepping(made, getattr(journal.Race, name)))
    return made


def _stepping(fleet: Fleet, act: Callable[[journal.Race], Any]) -> Callable[[journal.Race], Any]:
    def stepping(race: journal.Race) -> Any:
        fleet.step()
        done = act(race)
        fleet.step()
        return done

    return stepping


def _launch(wanted: options.Launch = WANTED) -> object:
    return first.run(Context(), TEXT, "", wanted)


def test_the_first_that_is_ready_is_kept_and_the_others_are_cancelled(fleet: Fleet) -> None:
    fleet.starts = {"alice@hydra"}
    assert _launch() == "a link"
    assert fleet.live() == {"alice@hydra": "ready"}
    assert "alice@hydra is ready first; cancelling job 11 on alice@cori, job 13 on alice@dice" in fleet.said
    assert fleet.said[-2:] == ["Cancelled job 11 on alice@cori", "Cancelled job 13 on alice@dice"]
    assert journal.left() == []


def test_one_that_runs_already_wins_before_anything_is_submitted(fleet: Fleet) -> None:
    fleet.put("alice@dice", "ready")
    _launch()
    assert list(fleet.sessions) == ["alice@dice"]
    assert fleet.said[-1] == "alice@dice is ready first"


def test_one_that_waited_before_is_left_in_peace(fleet: Fleet) -> None:
    fleet.put("alice@cori", "queued")
    fleet.starts = {"alice@hydra"}
    _launch()
    assert fleet.live() == {"alice@cori": "queued", "alice@hydra": "ready"}
    assert "alice@cori had job 11 before: it stays, whichever is first" in fleet.said


def test_the_race_goes_on_without_those_that_fail(fleet: Fleet) -> None:
    fleet.refusing, fleet.unreachable, fleet.starts = {"alice@cori"}, {"alice@hydra"}, {"alice@dice"}
    _launch()
    assert fleet.live() == {"alice@dice": "ready"}
    assert "Left out: alice@cori: invalid partition" in fleet.said
    assert "Left out: alice@hydra: no route to host" in fleet.said
    [left] = journal.left()
    assert left.accounts == ("alice@hydra", "alice@dice")
    fleet.unreachable = set()
    first.settle(Context())
    assert (journal.left(), fleet.live()) == ([], {"alice@dice": "ready"})


def test_with_none_left_the_exit_code_is_that_of_a_launch(fleet: Fleet) -> None:
    fleet.refusing = set(NAMES)
    with pytest.raises(Failure, match=r"^no account of alice@cori, alice@hydra, alice@dice can have the ") as failed:
        _launch()
    assert failed.value.code == Exit.SESSION_FAILED
    assert (fleet.live(), journal.left()) == ({}, [])


def test_accounts_that_nobody_can_enter_are_left_out_before(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def enter(_self: Context, name: str) -> None:
        if name != "alice@dice":
            raise Unreachable("no way in")

    monkeypatch.setattr(Context, "access", enter)
    fleet.starts = {"alice@dice"}
    _launch()
    assert list(fleet.sessions) == ["alice@dice"]
    assert journal.left() == []


@pytest.mark.parametrize("seconds", ["0", 0])
def test_a_race_that_is_not_waited_for_leaves_nothing(fleet: Fleet, seconds: object) -> None:
    wanted = options.Launch("default", {"jupyter_session_wait_seconds": seconds})
    with pytest.raises(Waiting, match=r"^nothing was ready on alice@cori, alice@hydra, alice@dice within 0 seconds$"):
        _launch(wanted)
    assert (fleet.live(), journal.left()) == ({}, [])


def test_ctrl_c_cancels_what_was_submitted(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(first, "_sleep", leave)
    with pytest.raises(Detached, match=r"^interrupted; what was submitted is cancelled$"):
        _launch()
    assert (fleet.live(), journal.left()) == ({}, [])


def test_one_whose_session_ends_is_left_out(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_seconds: float) -> None:
        fleet.sessions["alice@cori"].update(state="ended", how="failed", reason="no JupyterLab")
        fleet.starts = {"alice@hydra"}

    monkeypatch.setattr(first, "_sleep", fail)
    _launch()
    ended = "Session default has ended (failed: no JupyterLab). See: hpc-jupyter logs alice@cori"
    assert f"Left out: alice@cori: {ended}" in fleet.said
    assert fleet.live() == {"alice@hydra": "ready"}


@pytest.mark.parametrize("starts", [set(), {"alice@hydra"}, {"alice@cori", "alice@dice"}])
@pytest.mark.parametrize("again", ["launch", "settle"])
def test_killed_at_each_step_it_is_made_good_by_the_next_command(fleet: Fleet, starts: set[str], again: str) -> None:
    """What the clusters and the disk have seen stays; the client itself has no say in it any more."""
    for number in range(1, 40):
        fleet.sessions.clear()
        killed = _kill_at(fleet, number, starts)
        assert all(stat.S_IMODE(race.path.stat().st_mode) == 0o600 for race in journal.left())
        if again == "launch":
            fleet.starts = starts or {"alice@dice"}
            _launch()
            assert len(fleet.live()) == 1, number
        else:
            first.settle(Context())
            assert set(fleet.live().values()) <= {"ready"}, (number, fleet.live())
            assert len(fleet.live()) <= 1, number
        for race in journal.left():
            assert race.may_come_late(), number
            race.forget()
        if not killed:
            break
    assert number > 10


def _kill_at(fleet: Fleet, number: int, starts: set[str]) -> bool:
    """Whether there was such a step. A person who has seen nothing start for a while leaves, at the end."""
    left = [number]

    def step() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    fleet.starts, fleet.step = starts, step
    patience = {} if starts else {"jupyter_session_wait_seconds": 0}
    try:
        _launch(options.Launch("default", patience))
    except Killed:
        return True
    except Waiting:
        pass
    finally:
        fleet.step = lambda: None
    return False


def test_a_submit_that_arrives_after_its_client_has_died_is_found_by_the_command_after_the_next(fleet: Fleet) -> None:
    _kill_at(fleet, 4, set())
    [left] = journal.left()
    fleet.sessions.clear()
    first.settle(Context())
    fleet.put("alice@cori", "queued", left.id)
    first.settle(Context())
    assert fleet.live() == {}


def test_a_race_whose_client_lives_is_not_touched(fleet: Fleet) -> None:
    race = journal.new("default", NAMES, ("hosts.yml",)).write()
    fleet.put("alice@cori", "queued", race.id)
    with journal.owned(race) as mine:
        assert mine == race
        first.settle(Context())
        with pytest.raises(Busy, match="another hpc-jupyter is at it: launch --first alice@c"):
            _launch()
    assert fleet.live() == {"alice@cori": "queued"}


@pytest.mark.parametrize(
    ("states", "session", "kept"),
    [
        (("ready", "ready", "ready"), "default", "alice@dice"),
        (("ready", "ready", "queued"), "default", "alice@dice"),
        (("starting", "ready", "ready"), "other", "alice@hydra"),
        (("queued", "starting", "ended"), "default", "alice@hydra"),
    ],
)
def test_what_the_person_asks_for_next_is_kept_or_what_runs(
    fleet: Fleet, states: Sequence[str], session: str, kept: str
) -> None:
    race = replace(journal.new("default", NAMES, ("hosts.yml",)), accounts=NAMES, began=1.0, answered=True).write()
    for name, state in zip(NAMES, states, strict=True):
        fleet.put(name, state, race.id)
    first.settle(Context(), account="alice@dice", session=session)
    assert list(fleet.live()) == [kept]
    assert fleet.said[0] == f"launch --first {','.join(NAMES)} was cut off; session default of {kept} is kept"


ACCOUNTS: Mapping[str, Any] = dict.fromkeys(["alice@cori", "bob@cori", "alice@hydra", "alice@dice", "local"])


@pytest.mark.parametrize(
    ("text", "account", "told"),
    [
        ("hydra,dice", "bob@cori", "--first: names the accounts, and 'bob@cori' is another one. Add it: "
         "hydra,dice,bob@cori"),
        ("hydra", "", "--first: 'hydra' is one account at most. Name two or more, such as cori,hydra"),
        ("hydra,alice@hydra", "", "--first: 'hydra,alice@hydra' is one account at most. Name two or more, such as "
         "cori,hydra"),
        (",", "", "--first: ',' is one account at most. Name two or more, such as cori,hydra"),
        ("cori,hydra", "", "--first: 'cori' has several accounts. Name one of alice@cori, bob@cori"),
        ("nowhere,hydra", "", "--first: 'nowhere' is neither an account nor a cluster of the inventory. It has cori, "
         "dice, hydra"),
    ],
)  # fmt: skip
def test_what_it_cannot_mean_is_refused(text: str, account: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        racers.chosen(ACCOUNTS, text, account=account)
    assert str(refused.value) == told


def test_clusters_and_accounts_in_the_order_in_which_they_were_named() -> None:
    assert racers.chosen(ACCOUNTS, "hydra, bob@cori,dice,hydra") == ("alice@hydra", "bob@cori", "alice@dice")


def test_the_command_says_what_is_missing(environment: dict[str, str]) -> None:
    done = run(environment, "launch")
    told = "hpc-jupyter: ACCOUNT: is missing. Name one, or several clusters with --first\n"
    assert (done.returncode, done.stderr) == (Exit.BAD_INPUT, told)
    done = run(environment, "launch", "--first", "alice@lab,local")
    told = "hpc-jupyter: --first: local is this machine, where nothing waits. Leave it out\n"
    assert (done.returncode, done.stderr) == (Exit.BAD_INPUT, told)


def test_a_job_belongs_to_one_cluster() -> None:
    wanted = options.launch({"session": "default", "job": "17"})
    with pytest.raises(BadInput) as refused:
        racers.check(Context(), NAMES, wanted)
    told = "--job: is a job of one cluster, and --first submits to several. Leave one of them out"
    assert str(refused.value) == told

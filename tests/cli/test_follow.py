"""Status that is asked for again and again, as a page, and with a word to whoever waits."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh

from hpc_jupyter import status_page
from hpc_jupyter.commands import follow, status
from hpc_jupyter.commands.follow import Following
from hpc_jupyter.context import Context
from hpc_jupyter.exits import Exit
from hpc_jupyter.notify import Notifier
from hpc_jupyter.results import AccountStatus, Holding, Status
from tests.cli.test_command import run

QUEUED = {"account": "a@c", "session": "s", "state": "queued", "job_id": "7", "reason": "Priority",
          "starts_at": "2026-01-01T10:00:00Z"}  # fmt: skip
READY = {"account": "a@c", "session": "s", "state": "ready", "node": "c1", "job_id": "7"}
OTHER = {"account": "a@c", "session": "other", "state": "ready", "node": "c1", "job_id": "8"}
READY_LINE = "a@c s: Ready on c1 as job 7"
QUEUED_LINE = "a@c s: Job 7 waits in the queue: other jobs come first (Priority); expected to start at "


def seen(*sessions: dict[str, Any], problem: str = "", cause: str = "") -> Status:
    code = Exit.UNREACHABLE if problem else Exit.OK
    return Status((AccountStatus("a@c", sessions, problem=problem, cause=cause),), code=code)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Status]:
    """What accounts say, one after the other; then somebody presses Ctrl-C."""
    said: list[Status] = []

    def ask(
        _context: Context, _names: Sequence[str], *, interactive: bool, everybody: bool,
        spared: Mapping[str, AccountStatus],
    ) -> Status:  # fmt: skip
        if not said:
            raise KeyboardInterrupt
        asked = said.pop(0)
        return Status(tuple(spared.get(row.account, row) for row in asked.accounts), code=asked.code)

    monkeypatch.setattr(status, "run", ask)
    monkeypatch.setattr(follow, "_sleep", lambda _seconds: None)
    return said


@pytest.fixture
def notifier(tmp_path: Path) -> Notifier:
    """A program that writes down what it is told."""
    program = tmp_path / "tell me"
    program.write_text(f'#!/bin/sh\necho "$HPC_JUPYTER_SESSION on $HPC_JUPYTER_NODE: $2" >> {tmp_path}/told\n')
    program.chmod(0o700)
    return Notifier.command(f"'{program}' 'an argument'")


def test_whoever_waits_is_told_once_when_the_session_is_ready(
    answers: list[Status], notifier: Notifier, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    silent = seen(problem="c: login host gone.example: no answer")
    answers += [seen(QUEUED, OTHER), seen(QUEUED, OTHER), silent, seen(READY, OTHER), seen(READY, OTHER)]
    assert follow.run(Context(), ["a@c"], Following(notifier=notifier)) == Exit.OK
    assert (tmp_path / "told").read_text() == f"s on c1: {READY_LINE}\n"
    assert len(answers) == 1  # nothing waited any more
    lines = capfd.readouterr().out.splitlines()
    assert [line.startswith(QUEUED_LINE) for line in lines].count(True) == 1  # the same is not said twice
    assert lines[2:4] == ["a@c: c: login host gone.example: no answer", READY_LINE]


def test_a_first_answer_that_is_none_does_not_end_the_waiting(
    answers: list[Status], notifier: Notifier, tmp_path: Path
) -> None:
    unknown = {**QUEUED, "state": "unknown", "reason": "squeue did not answer"}
    answers += [seen(problem="c: no answer"), seen(QUEUED), seen(unknown), seen(READY)]
    assert follow.run(Context(), ["a@c"], Following(notifier=notifier)) == Exit.OK
    assert (answers, (tmp_path / "told").read_text()) == ([], f"s on c1: {READY_LINE}\n")


def test_what_is_not_there_any_more_is_not_waited_for(answers: list[Status], notifier: Notifier) -> None:
    answers += [seen(QUEUED), seen()]
    assert follow.run(Context(), ["a@c"], Following(notifier=notifier)) == Exit.OK


def test_a_session_that_nobody_can_tell_of_for_a_while_is_not_ready_twice() -> None:
    known = follow.remembered({}, seen(READY))
    known = follow.remembered(known, seen({**READY, "state": "unknown"}))
    assert follow.news(known, seen(READY)) == []


@pytest.mark.rows("F24")
def test_who_is_refused_is_not_asked_again_before_somebody_logs_in(
    answers: list[Status], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, logged_in = seen(problem="c: login host l: a was not let in", cause="denied"), [False]
    monkeypatch.setattr(ssh, "master_alive", lambda _files: logged_in[0])
    shown: list[Status] = []
    monkeypatch.setattr(follow, "_sleep", lambda _seconds: logged_in.__setitem__(0, len(answers) == 1))
    monkeypatch.setattr(follow._Log, "__call__", lambda _self, each: shown.append(each))
    answers += [refused, seen(READY), seen(READY)]
    assert follow.run(Context(), ["a@c"], Following(watch=True)) == Exit.OK
    assert [each.accounts[0].cause for each in shown] == ["denied", "denied", ""]


def test_watching_ends_with_ctrl_c_and_nothing_else(answers: list[Status], capfd: pytest.CaptureFixture[str]) -> None:
    answers += [seen(READY), seen(READY), seen()]
    assert follow.run(Context(), [], Following(watch=True)) == Exit.OK
    assert capfd.readouterr().out.splitlines() == [READY_LINE, "a@c: no session"]


def test_a_terminal_that_can_replace_nothing_is_told_what_has_changed(
    answers: list[Status], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    answers += [seen(READY), seen(READY), seen()]
    assert follow.run(Context(), [], Following(watch=True)) == Exit.OK
    assert capfd.readouterr().out.splitlines() == [READY_LINE, "a@c: no session"]


def test_a_program_that_fails_or_is_missing_is_named() -> None:
    false = Notifier.command("false")
    assert false.tell("ready", {}) == "false failed (exit 1)"
    with pytest.raises(BadInput, match=r"^--notify-command: 'no-such-program' is no program that can be run$"):
        Notifier.command("no-such-program --loud")
    with pytest.raises(BadInput, match=r"^--notify-command: .say 'it.: No closing quotation. Close the quotes$"):
        Notifier.command("say 'it")


def test_without_a_desktop_notify_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"^--notify: needs one of the programs notify-send, osascript, and none "):
        Notifier.desktop()
    (tmp_path / "notify-send").write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/told\n')
    (tmp_path / "notify-send").chmod(0o700)
    assert Notifier.desktop().tell("a@c: <b>ready</b>", {}) == ""
    assert (tmp_path / "told").read_text() == "--app-name|hpc-jupyter|hpc-jupyter|a@c: <b>ready</b>|"


def test_the_page_shows_every_account_and_takes_nothing_for_html(tmp_path: Path) -> None:
    evil = AccountStatus("b@c", problem="<script>alert(1)</script>")
    row = AccountStatus("a@c", (READY,), (Holding("s", 8901, 12, up=True, route="step"),))
    page = str(tmp_path / "page.html")
    status_page.write(status_page.check(page), Status((row, evil, AccountStatus("d@c"))), again_seconds=30)
    text = Path(page).read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text
    for part in ('<meta http-equiv="refresh" content="30">', "Ready on c1 as job 7", ">no session</td>"):
        assert part in text
    assert stat.S_IMODE(os.stat(page).st_mode) == 0o600


@pytest.mark.parametrize(
    ("connections", "told"),
    [
        ((), "offered for node"),
        ((Holding("other", 8902, 13, up=True, route="lan"),), "offered for node"),
        ((Holding("s", 8901, 12, up=True, route="step"),), "connected by step"),
        ((Holding("s", 8901, 12, up=False, route="step"),), "reconnecting by step"),
    ],
)
def test_the_route_of_the_page_is_no_connection_unless_it_says_so(
    connections: tuple[Holding, ...], told: str
) -> None:
    account = AccountStatus("a@c", ({**READY, "routes": ["node"]},), connections)
    assert [row.route for row in status_page.rows(Status((account,)))] == [told]


def test_a_page_is_written_anew_and_keeps_who_may_read_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    status_page.write(str(page), seen(QUEUED))
    page.chmod(0o644)
    status_page.write(status_page.check(str(page)), seen(READY))
    assert stat.S_IMODE(page.stat().st_mode) == 0o644
    assert "Ready on c1" in page.read_text()
    assert "http-equiv" not in page.read_text()


def test_another_file_is_never_overwritten_and_nobody_is_asked(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "thesis.html").write_text("<h1>My thesis</h1>")
    done = run(environment, "status", "alice@lab", "--html", str(tmp_path / "thesis.html"))
    place = tmp_path / "thesis.html"
    assert done.stderr == f"hpc-jupyter: --html: {place} is no page that hpc-jupyter has made. Name another file\n"
    assert (done.returncode, done.stdout, place.read_text()) == (Exit.BAD_INPUT, "", "<h1>My thesis</h1>")

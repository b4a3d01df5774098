"""A question to an account that stays open: by its own command, over a real sshd."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION, Layout

from hpc_jupyter import hold
from hpc_jupyter.access import Attached
from hpc_jupyter.errors import NoSession, Unreachable
from hpc_jupyter.following import Following, Word
from hpc_jupyter.ports import Wanted
from tests.cli.conftest import TOKEN, World, free_port
from tests.cli.test_heal import sshd_that_says

_PROGRAM = f"""\
#!{sys.executable}
import sys
sys.path[:] = {sys.path}
from ansible_collections.hpc.jupyter.plugins.module_utils.entry import main
sys.exit(main())
"""
_SECONDS = 30


@pytest.fixture
def account(world: World) -> World:
    """An account with the real command and no session yet; the first one listens already."""
    root = world.home / "root"
    (root / "hpc-session").write_text(_PROGRAM)
    facts = {"schema": 1, "account": "me@lab", "cluster": "lab", "scheduler": "none", "version": VERSION}
    (root / "account.json").write_text(json.dumps(facts))
    return world


def _write(world: World, **changes: Any) -> None:
    files = Layout(str(world.home / "root")).session("default")
    (world.home / "root" / "sessions" / "default").mkdir(parents=True, exist_ok=True)
    with open(files.token, "w", encoding="ascii") as stream:
        stream.write(TOKEN)
    rec.write(files.record, replace(world.record, **changes))


def _news(following: Following) -> Attached | Word:
    return following.news.get(timeout=_SECONDS)


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def _log_in(world: World) -> None:
    world.access.log_in(world.connector.progress, interactive=False)


def test_a_session_is_told_when_it_starts_and_when_it_is_ready(account: World) -> None:
    _log_in(account)
    with Following(account.access, "default") as following:
        assert following.see().installed == VERSION
        with pytest.raises(NoSession, match="there is no session default of me@lab"):
            following.see().get()
        for state in ("starting", "ready"):
            _write(account, state=state)
            news = _news(following)
            assert isinstance(news, Attached)
            assert (news.record.state, news.token) == (state, TOKEN)
        assert _news(following) is Word.OVER
    assert account.logins == 1


def test_the_first_command_after_a_login_asks_as_well(account: World) -> None:
    asked = account.home / "asked"
    program = account.home / "root" / "hpc-session"
    program.write_text(_PROGRAM.replace("sys.exit", f"print(sys.argv[1], file=open({str(asked)!r}, 'a'))\nsys.exit"))
    with Following(account.access, "default") as following:
        account.access.log_in(account.connector.progress, interactive=False, look=following.look)
        python = json.loads(Path(account.access.files.python).read_text())["path"]
        assert os.access(python, os.X_OK)
        assert following.see().installed == VERSION
        _write(account, state="ready")
        assert isinstance(_news(following), Attached)
    assert asked.read_text() == "attach\n"


def test_a_forward_that_was_begun_is_the_one_that_is_used(account: World) -> None:
    _log_in(account)
    connector = account.connector
    starting = Attached(replace(account.record, state="starting"), TOKEN)
    begun = connector.begin(starting, Wanted())
    assert begun is not None
    link = replace(connector, begun=begun).connect(Attached(replace(account.record, page="lab"), TOKEN))
    try:
        assert link.forward is begun
        assert begun.ask(TOKEN).ok
        assert link.route.page.endswith("/lab")
        assert begun.route == link.route
    finally:
        hold.close(link)


@pytest.mark.parametrize("is_fixed", [True, False])
def test_one_that_was_begun_to_elsewhere_leaves_its_port_to_the_right_one(account: World, is_fixed: bool) -> None:
    _log_in(account)
    connector, wanted = account.connector, Wanted(free_port() if is_fixed else 0)
    begun = connector.begin(Attached(replace(account.record, socket="/tmp/elsewhere"), TOKEN), wanted)
    assert begun is not None
    begun.await_listener(_SECONDS)
    link = replace(connector, begun=begun).connect(Attached(account.record, TOKEN), port=wanted.port)
    hold.close(link)
    assert link.forward is not begun
    assert link.route.port == begun.route.port
    assert not begun.is_alive


@pytest.mark.rows("F34")
def test_what_a_killed_launch_has_begun_the_next_one_ends(account: World) -> None:
    _log_in(account)
    begun = account.connector.begin(Attached(replace(account.record, state="starting"), TOKEN), Wanted())
    assert begun is not None
    begun.await_listener(_SECONDS)
    link = account.connector.connect(Attached(account.record, TOKEN))
    hold.close(link)
    assert link.forward is not begun
    assert link.route.port == begun.route.port
    assert not begun.is_alive
    begun.close()


def test_no_session_is_none_to_whoever_asks_just_once(account: World) -> None:
    _log_in(account)
    with pytest.raises(NoSession, match="there is no session default of me@lab"):
        account.access.attach("default")


@pytest.mark.parametrize("changes", [{"socket": ""}, {"offer": "lan", "address": "127.0.0.1", "socket": ""}])
def test_what_does_not_say_where_it_will_be_is_not_begun(account: World, changes: dict[str, Any]) -> None:
    _log_in(account)
    assert account.connector.begin(Attached(replace(account.record, **changes), TOKEN), Wanted()) is None


def test_nothing_is_left_on_the_account_when_nobody_listens(account: World) -> None:
    _log_in(account)
    there = account.home / "there"
    program = account.home / "root" / "hpc-session"
    noted = f"import os\nopen({str(there)!r}, 'w').close()\ntry: main()\nfinally: os.unlink({str(there)!r})\n"
    program.write_text(_PROGRAM.replace("sys.exit(main())\n", noted))
    with Following(account.access, "default") as following:
        following.see()
        assert there.exists()
    assert _until(lambda: not there.exists())


@pytest.mark.rows("F50")
@pytest.mark.parametrize("at_once", [True, False])
def test_where_one_command_at_a_time_is_let_in_the_question_does_not_stay_open(account: World, at_once: bool) -> None:
    with sshd_that_says(account, "MaxSessions 1"), Following(account.access, "default") as following:
        look = following.look if at_once else None
        account.access.log_in(account.connector.progress, interactive=False, look=look)
        assert following.see().installed == VERSION
        assert _news(following) is Word.OVER
        assert account.access.run(["echo", "there"], by_master=True).stdout == "there\n"
    assert account.logins == 1


def test_an_account_that_was_never_set_up_is_told_as_ever(world: World) -> None:
    (world.home / "root" / "hpc-session").unlink()
    _log_in(world)
    with Following(world.access, "default") as following:
        assert following.see().installed == ""
        assert _news(following) is Word.OVER


@pytest.mark.rows("F50")
@pytest.mark.parametrize("limit", ["MaxSessions 1", "MaxSessions 10"])
def test_whoever_asks_just_once_runs_one_command(account: World, limit: str) -> None:
    _write(account, state="ready")
    with sshd_that_says(account, f"{limit}\nLogLevel VERBOSE"), Following(account.access, "default", seconds=0) as once:
        account.access.log_in(account.connector.progress, interactive=False, look=once.look)
        assert once.see().get().token == TOKEN
        assert account.access.run(["echo", "there"], by_master=True).stdout == "there\n"
    assert (account.home / "sshd.log").read_text().count("Starting session: command") == 2


def test_an_account_that_hangs_is_told_of_once(account: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpc_jupyter.following._ANSWER_SECONDS", 1.0)
    (account.home / "root" / "hpc-session").write_text("#!/bin/sh\nexec sleep 20\n")
    hangs = re.escape("lab: me@lab did not answer within 1 seconds. Its home directory or the scheduler may hang")
    with Following(account.access, "default") as following, pytest.raises(Unreachable, match=f"^{hangs}$"):
        account.access.log_in(account.connector.progress, interactive=False, look=following.look)

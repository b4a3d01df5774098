"""What ``status`` makes of the answers of accounts."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pexpect
import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import DENIED

from hpc_jupyter.commands import status
from hpc_jupyter.context import Context
from hpc_jupyter.events import HostResult
from hpc_jupyter.state import Store

SOCKET = {"session": "s", "state": "ready", "offer": "socket", "node": "c1", "socket": "/tmp/hpcj-1/s"}
LAN = {"session": "s", "state": "ready", "offer": "lan", "node": "c1", "address": "10.0.0.7", "port": 4711,
       "login_host": "login1"}  # fmt: skip


@pytest.mark.parametrize(
    ("session", "fact", "worked", "routes"),
    [
        (SOCKET, "auto", "", ["node", "step"]),
        (SOCKET, "auto", "step", ["step"]),
        (SOCKET, "auto", "lan", ["node", "step"]),
        (SOCKET, "step", "node", ["step"]),
        (LAN, "node", "node", ["lan"]),
        (SOCKET, "local", "", []),
        ({**SOCKET, "state": "starting"}, "auto", "", []),
        ({**SOCKET, "state": "ended"}, "auto", "", []),
        ({**LAN, "offer": "loopback"}, "auto", "", []),
    ],
)
def test_the_routes_of_a_session_are_those_for_which_it_is_offered(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, session: dict[str, str], fact: str, worked: str,
    routes: list[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", environment["XDG_STATE_HOME"])
    cluster = SimpleNamespace(route=fact, local=fact == "local", scheduler="slurm")
    monkeypatch.setattr(Context, "account", lambda _self, _name: SimpleNamespace(cluster=cluster))
    if worked:
        Store("a@c").remember_route(worked)
    row = status._row(Context(), "a@c", "", HostResult("a@c", sessions=(session,)))
    assert (row.to_json()["sessions"], row.connections) == (({**session, "routes": routes},), ())


@pytest.fixture
def shut(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Context:
    """An inventory that lets nobody in without a password, somebody at a terminal, and an account used before."""
    monkeypatch.setenv("XDG_STATE_HOME", environment["XDG_STATE_HOME"])
    Store("local").note("s")

    def play(_context: Context, names: Sequence[str], **_more: bool) -> Mapping[str, HostResult]:
        return {name: HostResult(name, failed=True, unreachable=True, kind=DENIED, message="shut") for name in names}

    monkeypatch.setattr(status, "_play", play)
    monkeypatch.setattr(status, "_enter", lambda _context, _name: "asked for a password")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    return Context((environment["HPC_JUPYTER_INVENTORY"],))


def test_all_means_the_whole_inventory_and_no_password_of_other_people(shut: Context) -> None:
    seen = status.run(shut, [], everybody=True)
    assert [(row.account, row.problem.partition(":4: ")[2] or row.problem) for row in seen.accounts] == [
        ("alice@lab", "shut"),
        ("bob@lab", "hpc_user: bob@lab would log in as root, which is refused on clusters. Use a person's own account"),
        ("local", "shut"),
    ]
    assert seen.code == 0


def test_without_names_those_are_asked_that_were_used(shut: Context) -> None:
    assert [(row.account, row.problem) for row in status.run(shut, []).accounts] == [("local", "asked for a password")]


def test_on_a_terminal_what_is_watched_is_replaced_until_ctrl_c(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", environment["XDG_STATE_HOME"])
    Store("bob@lab").note("s")
    argv = ["-m", "hpc_jupyter", "status", "--watch", "--every", "5"]
    with pexpect.spawn(
        sys.executable, argv, env={**environment, "TERM": "xterm"}, timeout=60, encoding="utf-8", dimensions=(24, 300)
    ) as terminal:
        terminal.expect_exact("bob@lab would log in as root")
        terminal.expect(r"\r\n\r\nAsked at \d\d:\d\d:\d\d, again every 5 seconds; Ctrl-C ends this")
        Store("bob@lab").path("s").unlink()
        terminal.expect_exact("This computer has used no account yet")
        assert re.findall(r"\x1b\[1A\x1b\[2K", terminal.before) == ["\x1b[1A\x1b[2K"] * 2  # the three lines before
        terminal.expect_exact("Ctrl-C ends this")
        terminal.sendintr()
        terminal.expect(pexpect.EOF)
        assert "\x1b[?25h" in terminal.before  # the cursor is seen again
        assert "Traceback" not in terminal.before
        assert terminal.wait() == 0

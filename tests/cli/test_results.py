"""What commands say of sessions and of what is left over."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.leftovers import Leftover

from hpc_jupyter.commands import clean, stop
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached
from hpc_jupyter.results import AccountStatus, Cleaned, Holding, Logs, Status

READY = {"account": "a@c", "session": "s", "state": "ready", "node": "c1", "job_id": "7"}
ENDED = {"account": "a@c", "session": "s", "state": "ended", "how": "idle"}


def left(kind: str, where: str, what: str, *, verb: str = "clean", host: str = "") -> dict[str, Any]:
    remedy = f"hpc-jupyter {verb} a@c"
    return {**asdict(Leftover(kind, where, what, "s", host=host, verb=verb)), "remedy": remedy, "account": "a@c"}


JOB = left("job", "9", "job 9 of session s (running on c2): no record knows it", verb="stop")
LANDING = left("landing", "/tmp/hpcl-1", "the way back to a session that has ended", host="login1")
SESSION = left("session", "/h/sessions/s", "record, token and log of session s, which has ended (idle)", host="login1")


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (AccountStatus("a@c"), ["a@c: no session"]),
        (
            AccountStatus("a@c", (READY,), (Holding("s", 8901, 12, up=True),)),
            ["a@c s: Ready on c1 as job 7; connected here on port 8901"],
        ),
        (
            AccountStatus("a@c", (READY,), (Holding("s", 8901, 12, up=False),)),
            ["a@c s: Ready on c1 as job 7; reconnecting here (process 12)"],
        ),
        (
            AccountStatus("a@c", ({**READY, "routes": ["node", "step"]},)),
            ["a@c s: Ready on c1 as job 7; offered for route node or step"],
        ),
        (
            AccountStatus("a@c", ({**READY, "routes": ["node"]},), (Holding("s", 8901, 12, up=True, route="step"),)),
            ["a@c s: Ready on c1 as job 7; connected here on port 8901 by route step"],
        ),
        (
            AccountStatus("a@c", (ENDED,), leftovers=(SESSION, LANDING, JOB)),
            [
                "a@c s: Session s has ended (idle); removed by: hpc-jupyter clean a@c",
                "  left over: /tmp/hpcl-1 on login1: the way back to a session that has ended; "
                "removed by: hpc-jupyter clean a@c",
                "  left over: job 9 of session s (running on c2): no record knows it; ended by: hpc-jupyter stop a@c",
            ],
        ),
        (
            AccountStatus("a@c", untold="squeue did not answer within 30 seconds"),
            ["a@c: cannot tell which jobs there are: squeue did not answer within 30 seconds"],
        ),
        (
            AccountStatus("a@c", connections=(Holding("s", 8901, 12, up=True),), problem="c: no way in"),
            ["a@c: c: no way in", "a@c s: connected here on port 8901"],
        ),
    ],
)
def test_an_account_is_a_line_a_session_and_a_line_a_leftover(row: AccountStatus, lines: list[str]) -> None:
    assert Status((row,)).lines() == lines


def test_what_clean_did_is_a_line_each() -> None:
    assert Cleaned().lines() == ["Nothing to do"]
    assert Cleaned((SESSION,), (LANDING,), (JOB,), ("b@c: no way in",)).lines() == [
        "Removed a@c: /h/sessions/s on login1: record, token and log of session s, which has ended (idle)",
        "Not removed, as it may be in use: a@c: /tmp/hpcl-1 on login1: the way back to a session that has ended",
        "Not ended: a@c: job 9 of session s (running on c2): no record knows it; ended by: hpc-jupyter stop a@c",
        "b@c: no way in",
    ]
    assert Cleaned(kept=(SESSION,), declined=True).lines() == ["Nothing was removed"]
    assert Cleaned((SESSION,), dry_run=True).lines()[0].startswith("Would remove a@c: /h/sessions/s on login1: ")


def test_clean_without_names_fails_where_an_account_could_not_be_looked_at() -> None:
    planned = clean._planned(Status((AccountStatus("b@c", problem="c: no way in"),)))
    assert (planned.code, planned.lines()) == (3, ["Nothing to do", "b@c: c: no way in"])


def test_a_log_tells_the_supervisor_s_words_from_the_rest() -> None:
    tail = ("module loaded", "hpc-jupyter: session s is ready on c1", "[I 2026-11-21 ServerApp] Kernel started")
    assert Logs("a@c", "s", "/h/job.log", tail).lines() == [
        "  module loaded", "hpc-jupyter: session s is ready on c1", "  [I 2026-11-21 ServerApp] Kernel started",
    ]  # fmt: skip
    assert Logs("a@c", "s", "/h/job.log", ()).lines() == ["The log of session s is empty (/h/job.log)"]


def test_ctrl_c_while_one_account_is_stopped_spares_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def play(_context: Context, _playbook: str, name: str, _variables: object) -> None:
        asked.append(name)
        raise Detached("interrupted")

    monkeypatch.setattr(stop, "play", play)
    monkeypatch.setattr(stop, "known_accounts", lambda: ["a@c", "b@c"])
    monkeypatch.setattr(Context, "access", lambda _self, _name: None)
    monkeypatch.setattr(Context, "account", lambda _self, _name: None)
    monkeypatch.setattr(Context, "accounts", SimpleNamespace(accounts={"a@c": None, "b@c": None}))
    with pytest.raises(Detached):
        stop.run_all(Context(), "", yes=True)
    assert asked == ["a@c"]

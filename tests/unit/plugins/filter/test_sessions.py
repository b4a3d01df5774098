# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.filter import sessions, ssh_args


def test_session_line_is_one_line() -> None:
    session = {"account": "a@c", "session": "s", "state": "starting", "job_id": "7", "node": "c1"}
    assert sessions.FilterModule().filters()["session_line"](session) == (
        "a@c s: Job 7 started on c1; Jupyter is starting"
    )


def test_leftover_line_says_what_where_and_since_when() -> None:
    found = {"kind": "file", "where": "/h/.new-1", "what": "a file", "since": "2001-02-03T04:05:06Z", "host": "c1"}
    said = sessions.FilterModule().filters()["leftover_line"](found)
    assert str(said).startswith("/h/.new-1 on c1: a file, since Sat 03 Feb ")


def test_a_check_of_the_doctor_is_a_line_that_ends_with_what_to_do() -> None:
    line = sessions.FilterModule().filters()["check_line"]
    found = {"check": "clock", "state": "warn", "text": "70 s behind", "remedy": "Tell the site"}
    assert line(found) == "warn clock       70 s behind. Tell the site"
    assert line({**found, "state": "ok", "remedy": ""}) == "ok   clock       70 s behind"


def test_what_is_asked_for_is_within_what_is_allowed() -> None:
    filters = sessions.FilterModule().filters()
    assert filters["idle_seconds"]("", 7200) == 7200
    assert filters["idle_seconds"]("", 7200, local=True) == 0
    assert filters["idle_seconds"]("7200", 7200) == 7200


def test_ssh_args_lead_ansible_through_the_account_s_own_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/my state")
    assert ssh_args.FilterModule().filters()["ssh_args"]("alice@lab") == (
        "-F '/my state/hpc-jupyter/alice@lab/ssh_config' -o ClearAllForwardings=yes"
    )

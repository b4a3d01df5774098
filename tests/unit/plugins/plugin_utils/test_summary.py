# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of a play over accounts."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.jupyter.plugins.plugin_utils.summary import summary


def test_every_account_has_a_line_and_what_holds_for_several_is_said_once() -> None:
    rows: list[dict[str, Any]] = [
        {"done": "in /a", "notes": ["common", "own"]},
        {"done": "in /b", "notes": ["common"]},
        {"task": "Install", "message": "disk is full", "kind": ""},
        {"task": "Connect", "message": "cori: gateway g: d was not let in: why. Do this", "kind": "denied"},
        {},
    ]
    names = ["a@cori", "bob@cori", "c@cori", "d@cori", "e@cori"]
    assert summary(names, rows, [True, False, False, False, True], "onboard") == [
        "a@cori    done             in /a",
        "bob@cori  already done     in /b",
        "c@cori    failed           Install: disk is full",
        "d@cori    needs its owner  send them: hpc-jupyter onboard d@cori (gateway g: d was not let in: why)",
        "e@cori    failed           the connection was lost; run it again",
        "common",
        "a@cori: own",
        "5 accounts: 1 done, 1 already done, 2 failed, 1 needs its owner",
        "Next: hpc-jupyter launch ACCOUNT",
    ]


def test_one_account_needs_no_count_and_a_check_says_what_would_be() -> None:
    assert summary(["a@cori"], [{"done": "in /a", "notes": ["own"]}], [True], "onboard", check=True) == [
        "a@cori  would be set up  in /a", "own", "Next: hpc-jupyter launch a@cori",
    ]  # fmt: skip
    assert summary(["a@cori"], [{"done": "x"}], [False], "offboard", check=True) == ["a@cori  nothing to remove  x"]
    assert summary([], [], [], "rotate") == []

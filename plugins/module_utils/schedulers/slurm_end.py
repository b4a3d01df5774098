# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job of Slurm ended, in words for people; who cancelled it is known to ``sacct`` alone, where there is one."""

from __future__ import annotations

import pwd
import re

from ansible_collections.hpc.jupyter.plugins.module_utils.run import run

_SECONDS = 10
_WORDS = {
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "cancelled",
    "DEADLINE": "its deadline has passed",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
    "PREEMPTED": "another job took its place",
    "TIMEOUT": "the job's time is over",
}
_CANCELLED_BY = re.compile(r"^CANCELLED by (\d+)\s*$", re.MULTILINE)


def words(state: str, reason: str) -> str:
    """What ``state`` means, with Slurm's own words."""
    own = state if reason in ("None", "") else f"{state}, {reason}"
    return f"{_WORDS[state]} ({own})" if state in _WORDS else own


def canceller(job_id: str) -> str:
    """Who cancelled the job; empty where nobody can say."""
    try:
        result = run(["sacct", "-n", "-P", "-X", "-j", job_id, "-o", "State"], timeout_seconds=_SECONDS)
    except FileNotFoundError:
        return ""
    return parse_canceller(result.out) if result.code == 0 else ""


def parse_canceller(text: str) -> str:
    """Who, from what ``sacct`` printed."""
    found = _CANCELLED_BY.search(text)
    if found is None:
        return ""
    try:
        return pwd.getpwuid(int(found.group(1))).pw_name
    except (KeyError, OverflowError):
        return f"user {found.group(1)}"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm_end


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("OUT_OF_MEMORY", "OutOfMemory", "it used more memory than it had asked for (OUT_OF_MEMORY, OutOfMemory)"),
        ("NODE_FAIL", "None", "its node failed (NODE_FAIL)"),
        ("TIMEOUT", "TimeLimit", "the job's time is over (TIMEOUT, TimeLimit)"),
        ("PREEMPTED", "", "another job took its place (PREEMPTED)"),
        ("FAILED", "NonZeroExitCode", "FAILED, NonZeroExitCode"),
        ("SOMETHING", "None", "SOMETHING"),
    ],
)
def test_an_end_is_told_in_words(state: str, reason: str, words: str) -> None:
    assert slurm_end.words(state, reason) == words


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("CANCELLED by 0\n", "root"),
        ("CANCELLED by 4000000123\n", "user 4000000123"),
        ("COMPLETED\n", ""),
        ("CANCELLED\n", ""),
        ("", ""),
        ("CANCELLED by 99999999999999999999\n", "user 99999999999999999999"),
        ("CANCELLED by someone\n", ""),
    ],
)
def test_who_cancelled_it(text: str, who: str) -> None:
    assert slurm_end.parse_canceller(text) == who

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import plan
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import ADOPT, AWAIT, KEEP, SUBMIT, Observed
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job

KNOWN = rec.Record("default", "cori", "alice@cori", "slurm", generation=1, state=rec.SUBMITTED, job_id="7")
INTENDED = replace(KNOWN, state=rec.INTENDED, job_id="")
READY = replace(KNOWN, state=rec.READY, node="c1")
ENDED = replace(KNOWN, state=rec.ENDED, how="stopped")
RUNS = Job("7", RUNNING, node="c1")
AGAIN = replace(RUNS, restarted=True)
WAITS = Job("7", PENDING, reason="Resources")
OTHER = Job("8", PENDING)


@pytest.mark.parametrize(
    ("observed", "action", "state"),
    [
        (Observed(), SUBMIT, ""),
        (Observed(named=(OTHER,)), ADOPT, ""),
        (Observed(trouble="squeue is down"), AWAIT, ""),
        (Observed(ENDED), SUBMIT, rec.ENDED),
        (Observed(ENDED, named=(RUNS,)), AWAIT, rec.ENDED),
        (Observed(INTENDED, age_seconds=9, unclear_seconds=5), SUBMIT, rec.ENDED),
        (Observed(ENDED, named=(OTHER,)), ADOPT, rec.ENDED),
        (Observed(ENDED, trouble="squeue is down"), AWAIT, rec.ENDED),
        (Observed(INTENDED, age_seconds=1), AWAIT, rec.UNKNOWN),
        (Observed(INTENDED, age_seconds=31), SUBMIT, rec.ENDED),
        (Observed(INTENDED, named=(Job("8", ENDING),), age_seconds=31), AWAIT, rec.UNKNOWN),
        (Observed(named=(Job("8", ENDING),)), AWAIT, ""),
        (Observed(ENDED, WAITS, named=(WAITS,)), KEEP, rec.QUEUED),
        (Observed(ENDED, AGAIN, named=(RUNS,)), KEEP, rec.STARTING),
        (Observed(ENDED, RUNS, named=(RUNS,)), AWAIT, rec.ENDED),
        (Observed(ENDED, Job("7", ENDING), named=(Job("7", ENDING),)), AWAIT, rec.ENDED),
        (Observed(ENDED, Job("7", GONE)), SUBMIT, rec.ENDED),
        (Observed(INTENDED, named=(OTHER,), age_seconds=1), ADOPT, rec.UNKNOWN),
        (Observed(INTENDED, trouble="squeue is down", age_seconds=99), KEEP, rec.UNKNOWN),
        (Observed(KNOWN, WAITS), KEEP, rec.QUEUED),
        (Observed(KNOWN, RUNS), KEEP, rec.STARTING),
        (Observed(KNOWN, Job("7", GONE)), SUBMIT, rec.ENDED),
        (Observed(KNOWN, Job("7", ENDING)), SUBMIT, rec.ENDED),
        (Observed(KNOWN, Job("7", GONE), named=(OTHER,)), ADOPT, rec.ENDED),
        (Observed(KNOWN, trouble="squeue is down"), KEEP, rec.UNKNOWN),
        (Observed(READY, RUNS), KEEP, rec.READY),
        (Observed(READY, WAITS), KEEP, rec.QUEUED),
        (Observed(READY, Job("7", GONE)), SUBMIT, rec.ENDED),
        (Observed(READY, trouble="squeue is down"), KEEP, rec.UNKNOWN),
    ],
)
def test_what_is_done_about_what_is_seen(observed: Observed, action: str, state: str) -> None:
    decided = plan.plan(observed)
    assert (decided.action, decided.view.state) == (action, state)


def _record(seen: plan.View) -> rec.Record:
    assert seen.record is not None
    return seen.record


def test_a_failed_question_is_never_an_end() -> None:
    for record in (INTENDED, KNOWN, READY):
        seen = plan.view(Observed(record, trouble="squeue is down"))
        assert (seen.state, seen.is_live, _record(seen).reason) == (rec.UNKNOWN, True, "squeue is down")


def test_a_queued_job_says_why_and_when() -> None:
    job = replace(WAITS, starts_at="2026-11-21T06:09:15Z", hopeless=True)
    seen = plan.view(Observed(KNOWN, job))
    assert (_record(seen).reason, seen.starts_at, seen.hopeless) == ("Resources", "2026-11-21T06:09:15Z", True)


def test_a_job_that_is_gone_says_how() -> None:
    seen = plan.view(Observed(READY, Job("7", GONE, how="time limit", reason="TIMEOUT")))
    assert (_record(seen).how, _record(seen).reason) == ("time limit", "TIMEOUT")


def test_a_job_that_was_begun_anew_is_where_it_runs_now() -> None:
    seen = _record(plan.view(Observed(replace(ENDED, node="c9", reason="stopped on request"), AGAIN)))
    assert (seen.state, seen.node, seen.how, seen.reason) == (rec.STARTING, "c1", "", "")


@pytest.mark.parametrize(("observed", "may"), [
    (Observed(ENDED, Job("7", ENDING)), True),
    (Observed(READY, Job("7", ENDING)), True),
    (Observed(ENDED, RUNS), True),
    (Observed(replace(ENDED, how="failed"), Job("7", ENDING)), False),
    (Observed(replace(ENDED, reason="stopped by its owner"), Job("7", ENDING)), False),
    (Observed(ENDED, Job("7", GONE)), False),
    (Observed(ENDED), False),
    (Observed(READY, RUNS), False),
])
def test_an_end_may_not_be_one_while_the_job_still_ends(observed: Observed, may: bool) -> None:
    seen = plan.view(observed)
    assert (seen.may_go_on, seen.to_dict()["may_go_on"]) == (may, may)


def test_a_job_that_left_without_a_word_is_lost() -> None:
    assert _record(plan.view(Observed(READY, Job("7", GONE)))).how == "lost"


@pytest.mark.parametrize(
    ("observed", "action", "kept", "doubles"),
    [
        (Observed(READY, RUNS, named=(RUNS,)), KEEP, None, []),
        (Observed(ENDED, WAITS, named=(WAITS,)), KEEP, "7", []),
        (Observed(ENDED, WAITS, named=(WAITS, OTHER)), KEEP, "7", ["8"]),
        (Observed(ENDED, AGAIN, named=(RUNS, OTHER)), KEEP, "7", ["8"]),
        (Observed(ENDED, RUNS, named=(RUNS,)), AWAIT, None, ["7"]),
        (Observed(READY, RUNS, named=(OTHER, RUNS)), KEEP, None, ["8"]),
        (Observed(READY, RUNS, named=(RUNS, Job("8", ENDING))), KEEP, None, []),
        (Observed(INTENDED, named=(OTHER, Job("9", RUNNING)), age_seconds=1), ADOPT, "9", ["8"]),
        (Observed(ENDED, named=(RUNS, OTHER)), ADOPT, "8", []),
        (Observed(ENDED, named=(RUNS,)), AWAIT, None, ["7"]),
    ],
)
def test_a_job_beside_the_one_that_counts_is_to_go(
    observed: Observed, action: str, kept: str | None, doubles: list[str]
) -> None:
    decided = plan.plan(observed)
    assert (decided.action, [job.job_id for job in decided.doubles]) == (action, doubles)
    assert (decided.job.job_id if decided.job else None) == kept
    assert decided.record is observed.record

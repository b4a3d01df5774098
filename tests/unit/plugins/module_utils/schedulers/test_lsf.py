# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LSF's documentation and others who use it say that ``bsub``, ``bjobs`` and ``bkill`` print."""

from __future__ import annotations

import calendar
import json
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import lsf
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    GONE,
    PENDING,
    RUNNING,
    Inside,
    Job,
    Order,
    Site,
    Surroundings,
)

NAME = job_names.job_name("default", "/h/root")
DOWN = "batch system daemon not responding ... still trying\n"
NOBODY = Result(255, "", "No unfinished job found\n")


def told(*records: dict[str, str], count: int | None = None) -> Result:
    """What ``bjobs -json`` prints."""
    found = {"COMMAND": "bjobs", "JOBS": len(records) if count is None else count, "RECORDS": list(records)}
    return Result(0, json.dumps(found, indent=2) + "\n", "")


def record(state: str, **more: str) -> dict[str, str]:
    return {"JOBID": "7", "STAT": state, "JOB_NAME": NAME, "EXEC_HOST": "", "FINISH_TIME": "", "PEND_REASON": "",
            "EXIT_REASON": "", "EXIT_CODE": "", **more}


@pytest.fixture(name="answers")
def _answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Result]:
    """What each command answers."""
    answers: dict[str, Result] = {}
    monkeypatch.setattr(running, "run", lambda argv, **_options: answers[argv[0]])
    return answers


@pytest.mark.parametrize(("resources", "site", "options"), [
    ({}, {}, ["-R", "span[hosts=1]"]),
    ({"time": "1-02:00:00", "cpus": "4", "memory": "8G"}, {},
     ["-W", "1560", "-n", "4", "-R", "span[hosts=1]", "-R", "rusage[mem=8192MB]"]),
    ({"time": "0:01:30", "cpus": "4", "memory": "8G"}, {"memory_per": "slot"},
     ["-W", "2", "-n", "4", "-R", "span[hosts=1]", "-R", "rusage[mem=2048MB]"]),
    ({"memory": "1500K"}, {}, ["-R", "span[hosts=1]", "-R", "rusage[mem=2MB]"]),
    ({"gpus": "a100:2"}, {}, ["-gpu", "num=2:gmodel=a100", "-R", "span[hosts=1]"]),
    ({"partition": "q", "project": "p", "constraint": "haswell"}, {},
     ["-q", "q", "-P", "p", "-R", "span[hosts=1]", "-R", "select[haswell]"]),
    ({"exclusive": True, "reservation": "r", "extra": ("-G group", "-B")}, {},
     ["-U", "r", "-R", "span[hosts=1]", "-x", "-G", "group", "-B"]),
])
def test_resources_become_options_of_bsub(resources: dict[str, Any], site: dict[str, str], options: list[str]) -> None:
    order = Order(NAME, ("/h/job.sh", "/h/a b", "1"), "/h", "/h/job.log", Resources(**resources))
    fixed = ["-J", NAME, "-o", "/dev/null", "-cwd", "/h", "-rn"]
    assert lsf.submit_argv(order, Site(**site)) == ["bsub", *fixed, *options, "/h/job.sh", "'/h/a b'", "1"]


def test_what_lsf_does_not_have_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        lsf.Lsf().check(Resources(nodes="2"))
    assert str(refused.value) == "nodes: lsf has nothing of that kind. A session runs on one node: ask for cpus"


def test_the_id_is_found_among_notices_of_the_site() -> None:
    text = "Your job requests 12 slots.\nJob <4242> is submitted to queue <gpu>.\n"
    assert lsf.read_submit(Result(0, text, "")) == "4242"


def test_a_refusal_is_given_in_lsf_s_own_words() -> None:
    with pytest.raises(SubmitRefused) as refused:
        lsf.read_submit(Result(255, "", "batch: No such queue. Job not submitted.\n"))
    assert str(refused.value) == "LSF refused the job: batch: No such queue. Job not submitted."


@pytest.mark.parametrize("result", [
    Result(-1, "", DOWN, timed_out=True), Result(255, "", DOWN), Result(255, "", "LSF is down. Please wait ...\n"),
    Result(0, "", ""), Result(255, "", "nosuch: No such que"), Result(137, "", ""),
    Result(255, "", "Failed in an LSF library call: Communication time out. Job not submitted.\n"),
])
def test_a_submit_that_may_have_made_a_job_is_unclear(result: Result) -> None:
    with pytest.raises(SubmitUnclear):
        lsf.read_submit(result)


@pytest.mark.parametrize(("known", "job"), [
    (record("PEND", PEND_REASON="New job is waiting for scheduling;"),
     Job("7", PENDING, reason="New job is waiting for scheduling")),
    (record("PSUSP"), Job("7", PENDING, reason="it is suspended")),
    (record("PROV", EXEC_HOST="-"), Job("7", PENDING)),
    (record("RUN", EXEC_HOST="4*h1.example.org:8*h2", FINISH_TIME="Apr 12 22:27:01 2026 L"),
     Job("7", RUNNING, node="h1", ends_at="2026-04-12T22:27:01Z")),
    (record("USUSP", EXEC_HOST="h1:h1"), Job("7", RUNNING, node="h1")),
    (record("SSUSP", EXEC_HOST="2*h1"), Job("7", RUNNING, node="h1")),
    (record("DONE", EXEC_HOST="h1"), Job("7", GONE, how="finished", node="h1")),
    (record("EXIT", EXIT_REASON="TERM_OWNER: job killed by owner", EXIT_CODE="130"),
     Job("7", GONE, how="stopped", reason="cancelled by its owner")),
    (record("EXIT", EXIT_REASON="TERM_RUNLIMIT: job killed after reaching LSF run time limit"),
     Job("7", GONE, how="time limit", reason="the job's time is over")),
    (record("EXIT", EXIT_REASON="TERM_MEMLIMIT: job killed after reaching LSF memory usage limit"),
     Job("7", GONE, how="failed", reason="it used more memory than it had asked for")),
    (record("EXIT", EXIT_REASON="TERM_RC: reclaimed"), Job("7", GONE, how="failed", reason="TERM_RC: reclaimed")),
    (record("EXIT", EXIT_CODE="3"), Job("7", GONE, how="failed", reason="it ended with exit code 3")),
])
def test_states_and_ends(known: dict[str, str], job: Job, answers: dict[str, Result]) -> None:
    answers["bjobs"] = told(known)
    assert lsf.Lsf().query("7") == job


@pytest.mark.parametrize("result", [
    told({"JOBID": "7", "ERROR": "Job <7> is not found"}), Result(255, "", "Job <7> is not found\n"),
])
def test_a_job_that_lsf_does_not_know_is_gone(result: Result, answers: dict[str, Result]) -> None:
    answers["bjobs"] = result
    assert lsf.Lsf().query("7") == Job("7", GONE)


WHOLE = told(record("RUN", EXEC_HOST="h1")).out


@pytest.mark.parametrize("result", [
    Result(-1, "", DOWN, timed_out=True), Result(255, "", DOWN), Result(255, "", "LSF is down. Please wait ...\n"),
    Result(0, "", ""), Result(255, "", "Job <77> is not found\n"), NOBODY, told(count=1), told(), Result(-9, "", ""),
    told(record("UNKWN", EXEC_HOST="h1")), told(record("ZOMBI")), told(record("RUN", JOBID="77")),
    *(Result(0, WHOLE[:cut], "") for cut in range(0, len(WHOLE) - 2, 13)),
])
def test_no_answer_is_never_gone(result: Result, answers: dict[str, Result]) -> None:
    answers["bjobs"] = result
    with pytest.raises(SchedulerUnavailable):
        lsf.Lsf().query("7")


def test_a_silent_batch_system_is_told_in_one_line(answers: dict[str, Result]) -> None:
    answers["bjobs"] = Result(255, "", DOWN)
    with pytest.raises(SchedulerUnavailable) as caught:
        lsf.Lsf().find(NAME)
    assert str(caught.value) == "bjobs failed: batch system daemon not responding ... still trying"


def test_jobs_of_ours_are_found(answers: dict[str, Result]) -> None:
    answers["bjobs"] = told(record("PEND"), record("RUN", JOBID="8", JOB_NAME="mine"), record("EXIT", JOBID="9"),
                            record("UNKWN", JOBID="10", JOB_NAME="other"))
    assert lsf.Lsf(root="/h/root").sessions() == [("default", Job("7", PENDING))]
    assert [job.job_id for job in lsf.Lsf().find("mine")] == ["8"]
    answers["bjobs"] = NOBODY
    assert lsf.Lsf().find(NAME) == []


QUEUES = """\
QUEUE_NAME      PRIO STATUS          MAX JL/U JL/P JL/H NJOBS  PEND   RUN  SUSP  RSV PJOBS
interactive      400 Open:Active       -    -    -    -     2     0     2     0    0     0
night             40 Open:Inact        -    -    -    -     4     4     0     0    0     0
old               30 Closed:Active     -    -    -    -     1     0     1     0    0     0
"""


@pytest.mark.parametrize(("result", "partition", "refusal"), [
    (Result(0, QUEUES, ""), "", ""),
    (Result(0, QUEUES, ""), "night", ""),
    (Result(0, QUEUES, ""), "old", "old is no queue that takes jobs of alice: interactive, night"),
    (Result(0, QUEUES, ""), "nosuch", "nosuch is no queue that takes jobs of alice: interactive, night"),
    (Result(0, QUEUES, ""), "night@other", None),
    (Result(0, QUEUES.replace("Open:", "Closed:"), ""), "", "no queue takes jobs of alice"),
    (Result(0, "", ""), "night", None),
])
def test_a_queue_that_takes_no_jobs_of_the_account_is_told_beforehand(
    result: Result, partition: str, refusal: str | None, answers: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lsf, "user", lambda: "alice")
    answers["bqueues"] = result
    assert lsf.Lsf().refusal(Resources(partition=partition)) == refusal


def test_a_silent_batch_system_refuses_nothing_beforehand(answers: dict[str, Result]) -> None:
    answers["bqueues"] = Result(255, "", DOWN)
    with pytest.raises(SchedulerUnavailable, match=r"^bqueues failed: batch system daemon not responding"):
        lsf.Lsf().refusal(Resources())


@pytest.mark.parametrize("result", [
    Result(0, "Job <7> is being terminated\n", ""), Result(255, "", "Job <7>: Job has already finished\n"),
    Result(255, "", "Job <7>: No matching job found\n"),
])
def test_a_job_that_is_gone_can_be_cancelled(result: Result, answers: dict[str, Result]) -> None:
    answers["bkill"] = result
    lsf.Lsf().cancel("7")


def test_a_cancel_that_was_not_heard_is_told(answers: dict[str, Result]) -> None:
    answers["bkill"] = Result(255, "", DOWN)
    with pytest.raises(SchedulerUnavailable) as caught:
        lsf.Lsf().cancel("7")
    assert str(caught.value) == "bkill could not end job 7: batch system daemon not responding ... still trying"


@pytest.mark.parametrize(("text", "now", "end"), [
    ("Nov 21 05:42 L", (2026, 11, 21, 3, 0, 0), (2026, 11, 21, 5, 42, 0)),
    ("Jan  1 05:42 L", (2026, 12, 31, 3, 0, 0), (2027, 1, 1, 5, 42, 0)),
    ("Feb 29 05:42:10 2028 E", (2026, 12, 31, 3, 0, 0), (2028, 2, 29, 5, 42, 10)),
    ("-", (2026, 12, 31, 3, 0, 0), None),
])
def test_when_a_job_ends(text: str, now: tuple[int, ...], end: tuple[int, ...] | None) -> None:
    assert lsf.finish(text, now=calendar.timegm(now)) == (calendar.timegm(end) if end else 0)


def test_a_job_knows_its_number() -> None:
    assert lsf.Lsf().inside(Surroundings({"LSB_JOBID": "7"}, "default")) == Inside("7")

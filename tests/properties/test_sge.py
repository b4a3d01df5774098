"""Grid Engine's answers as they were recorded, then damaged: never a crash, never ``gone`` of a job that may live."""

from __future__ import annotations

import contextlib
import re

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import asked, sge, sge_end
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.recorded import Answer, Recordings, result
from tests.properties.seeds import cut_or_changed

RECORDED = Recordings("sge.json")
NOISE = "<>/&\n\r\t 0179_+=:-\x1c\u2028\u0661;\"'"
PHASES = {"r": RUNNING, "t": RUNNING, "qw": PENDING, "hqw": PENDING, "Eqw": PENDING, "dr": ENDING, "dt": ENDING,
          "z": GONE}
WHY = {
    "qstat-j-badout": 'can\'t open output file "/nonexistent/x": No such file or directory',
    "qstat-j-eqw": "can't chdir to /nonexistent: No such file or directory",
    "qstat-j-pending": 'queue instance "all.q@sgc1" dropped because it is full',
    "qstat-j-queued": "", "qstat-j-running": "",
}
ENDS = {
    "qacct-h_rt-killed": Job("33", GONE, how="time limit", reason="the job's time is over", node="sgc2"),
    "qacct-qdel": Job("17", GONE, how="stopped", reason="it was deleted, or killed by signal 9", node="sgc1"),
    "qacct-immediately": Job("1", GONE, how="finished", node="sgc1"),
    "qacct-later": Job("1", GONE, how="finished", node="sgc1"),
}


LOST = ("qmaster-", "ghost-")
LISTS = RECORDED.of("qstat", lambda answer: "<job_info" in answer["out"])
SILENT = RECORDED.of("qstat", lambda answer: answer["name"].startswith("qmaster-"))
ONE_JOB = RECORDED.of("qstat -j", lambda answer: "xml" not in answer["argv"])
ONE_JOB_XML = RECORDED.of("qstat -j", lambda answer: "xml" in answer["argv"])


def test_nothing_was_recorded_in_vain() -> None:
    assert RECORDED.unused() == []


def test_every_state_that_was_seen_is_known() -> None:
    assert {state: sge._phase("7", state) for state in RECORDED.whole["states"]} == PHASES


@pytest.mark.parametrize("answer", LISTS)
def test_a_list_gives_every_job_in_it(answer: Answer) -> None:
    rows = sge.parse_list(answer["out"])
    assert [row.job.job_id for row in rows] == re.findall(r"<JB_job_number>(\d+)<", answer["out"])
    assert [row.job.phase for row in rows] == [PHASES[state] for state in re.findall(r"<state>(\w+)<", answer["out"])]
    assert all(row.job.node and row.started for row in rows if row.job.phase == RUNNING)


@pytest.mark.parametrize("answer", [each for each in LISTS if "<state>" in each.values[0]["out"]])
@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_list_hides_no_job(answer: Answer, data: st.DataObject) -> None:
    """Cut off it is no answer at all; what else may happen to it leads to no crash."""
    cut = data.draw(st.integers(0, len(answer["out"].rstrip()) - 1))
    with pytest.raises(SchedulerUnavailable):
        sge.parse_list(answer["out"][:cut])
    with contextlib.suppress(SchedulerUnavailable):
        sge.parse_list(data.draw(cut_or_changed(answer["out"], NOISE)))


@pytest.mark.parametrize("answer", SILENT)
@settings(max_examples=40)
@given(data=st.data())
def test_a_silent_master_is_never_the_end_of_a_job(answer: Answer, data: st.DataObject) -> None:
    error = data.draw(cut_or_changed(answer["err"] or " ", NOISE))
    told = Result(answer["code"], answer["out"], error, timed_out=answer["code"] == 124)
    assert not sge.is_unknown(told, job_id="1")
    with pytest.raises(SchedulerUnavailable):
        asked.checked(told, "qstat")


@pytest.mark.parametrize("answer", ONE_JOB)
def test_only_a_job_that_does_not_exist_is_unknown(answer: Answer) -> None:
    job_id = answer["argv"].split()[2]
    assert sge.is_unknown(result(answer), job_id=job_id) == (answer["name"] in ("qstat-j-done", "qstat-j-unknown"))
    for cut in range(len(answer["err"]) - 1):
        cut_off = Result(answer["code"], answer["out"], answer["err"][:cut])
        assert not sge.is_unknown(cut_off, job_id=job_id) or answer["err"][:cut].endswith(job_id)
    if answer["code"] == 0:
        assert sge.why(answer["out"]) == WHY[answer["name"]]


@pytest.mark.parametrize("answer", ONE_JOB_XML)
def test_what_is_told_of_one_job_is_no_list(answer: Answer) -> None:
    """That there is no such job comes with exit code 0 there: an empty list it is not."""
    assert not sge.is_unknown(result(answer), job_id=answer["argv"].split()[2])
    with pytest.raises(SchedulerUnavailable, match=r"^qstat's answer is not a list of jobs$"):
        sge.parse_list(answer["out"])


@pytest.mark.parametrize("answer", RECORDED.of("qsub"))
def test_what_qsub_said_is_a_job_or_a_refusal_or_unclear(answer: Answer) -> None:
    told, lines = result(answer), answer["out"].split()
    if answer["code"] == 0 and len(lines) == 1 and lines[0].isdigit():
        assert sge.read_submit(told) == lines[0]
        return
    unclear = answer["code"] == 0 or answer["name"].startswith(LOST) or answer["name"] == "qsub-sync"
    with pytest.raises(SubmitUnclear if unclear else SubmitRefused):
        sge.read_submit(told)


@pytest.mark.parametrize("answer", RECORDED.of("qsub", lambda answer: "-w v" in answer["argv"]))
def test_what_no_queue_could_run_is_refused_beforehand(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", lambda *_argv, **_options: result(answer))
    assert sge.Sge().refusal(Resources()) == asked.words(answer["err"]) != ""


@pytest.mark.parametrize("answer", RECORDED.of("qsub", lambda answer: answer["name"].startswith(LOST)))
def test_a_complaint_that_was_cut_off_is_no_refusal(answer: Answer) -> None:
    for cut in range(len(answer["err"]) + 1):
        with pytest.raises(SubmitUnclear):
            sge.read_submit(Result(answer["code"], "", answer["err"][:cut]))


@pytest.mark.parametrize("answer", RECORDED.of("qdel"))
def test_what_qdel_said_is_done_or_not(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", lambda *_argv, **_options: result(answer))
    fails = answer["name"] in ("not-submit-host-qdel", "qmaster-unreachable-qdel")
    with pytest.raises(SchedulerUnavailable) if fails else contextlib.nullcontext():
        sge.Sge().cancel("1")


@pytest.mark.parametrize("answer", RECORDED.of("qacct", lambda answer: answer["code"] == 0))
@settings(max_examples=40)
@given(data=st.data())
def test_an_end_is_told_as_it_was_recorded_or_not_at_all(answer: Answer, data: st.DataObject) -> None:
    told = ENDS[answer["name"]]
    assert sge_end.parse(answer["out"], job_id=told.job_id) == told
    assert sge_end.parse(answer["out"], job_id="4711") == Job("4711", GONE)
    damaged = data.draw(cut_or_changed(answer["out"], NOISE))
    assert sge_end.parse(damaged, job_id=told.job_id).phase == GONE


@pytest.mark.parametrize("answer", RECORDED.of("qacct"))
def test_what_accounting_does_not_know_is_gone_all_the_same(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "run", lambda *_argv, **_options: result(answer))
    job_id = answer["argv"].split()[-1]
    assert sge_end.ended(job_id) == ENDS.get(answer["name"], Job(job_id, GONE))

"""PBS's answers as they were recorded, then damaged: never a crash, and never ``gone`` of a job that may live."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import pbs
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.seeds import cut_or_changed

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data/pbs.json").read_text())
ANSWERS: dict[str, dict[str, Any]] = {answer["name"]: answer for answer in RECORDED["answers"]}
NOISE = '{}[]",:\\\n\r\t 0179_+-\x1c\u2028\u0661'
PHASES = {"Q": PENDING, "H": PENDING, "W": PENDING, "R": RUNNING, "E": ENDING, "F": GONE}
TOLD = {
    "qstat-f-json-R": Job("10.sps", RUNNING, node="spc2", ends_at="2026-11-21T05:52:43Z"),
    "qstat-f-json-early": Job("10.sps", RUNNING, node="spc2", ends_at="2026-11-21T05:52:43Z"),
    "multi-json": Job("31.sps", RUNNING, node="spc2", ends_at="2026-11-21T05:50:12Z"),
    "qstat-json-gpu": Job("28.sps", RUNNING, node="spc2", ends_at="2026-11-21T05:43:55Z"),
    "qstat-two-json": Job("24.sps", RUNNING, node="spc1", ends_at="2026-11-21T05:48:42Z"),
    "qrerun-json-0": Job("0.sps", RUNNING, node="spc1", ends_at="2026-11-21T06:11:07Z"),
    "qstat-f-json-Q": Job("24.sps", PENDING, reason="Not Running: Job would conflict with reservation or top job"),
    "qstat-f-json-H": Job("20.sps", PENDING, reason="held by its owner"),
    "qstat-f-json-multihost": Job(
        "23.sps", PENDING, reason="Not Running: Insufficient amount of resource: ncpus (R: 8 A: 7 T: 8)",
        starts_at="2026-11-21T05:44:35Z",
    ),
    "qstat-f-json-impossible": Job(
        "16.sps", PENDING, reason="Can Never Run: Insufficient amount of resource: ncpus (R: 64 A: 8 T: 8)",
        hopeless=True,
    ),
    "qstat-cwd-missing": Job("30.sps", ENDING, node="spc2"),
    "qstat-x-f-json-F": Job("10.sps", GONE, how="finished", node="spc2"),
    "multi-x": Job("31.sps", GONE, how="stopped", reason="deleted by alice", node="spc2"),
    "odd-json-32": Job("32.sps", GONE, how="finished", node="spc2"),
    "odd-json-33": Job("33.sps", GONE, how="finished", node="spc2"),
    "qstat-fail": Job("29.sps", GONE, how="failed", reason="it ended with exit code 3", node="spc2"),
    "qstat-walltime-killed": Job("28.sps", GONE, how="time limit", reason="the job's time is over", node="spc2"),
    "qstat-x-after-qdel": Job("23.sps", GONE, how="stopped", reason="deleted"),
}
NOT_GONE = ("nohist-qstat-xf-json", "qstat-json-R", "server-down-qstat-json", "server-down-qstat",
            "server-hung-qstat-json", "server-hung-qstat", "server-unreachable-qstat-json", "server-unreachable-qstat")


def _of(command: str, chosen: Callable[[dict[str, Any]], bool] = lambda _answer: True) -> list[Any]:
    return [pytest.param(each, id=each["name"]) for each in ANSWERS.values()
            if f"{command} " in f"{each['argv']} " and chosen(each)]


def _result(answer: dict[str, Any]) -> Result:
    return Result(answer["code"], answer["out"], answer["err"], timed_out=answer["code"] == 124)


def _jobs(answer: dict[str, Any]) -> dict[str, Job]:
    return {job_id: pbs.job_of(job_id, told) for job_id, told in pbs.parse(answer["out"]).items()}


WITH_JOBS = _of("qstat", lambda answer: '"Jobs"' in answer["out"])


@pytest.mark.parametrize("answer", WITH_JOBS)
def test_every_job_is_told_as_it_was_recorded(answer: dict[str, Any]) -> None:
    jobs = _jobs(answer)
    raw = json.loads(answer["out"], strict=False)["Jobs"]
    assert {job_id: job.phase for job_id, job in jobs.items()} == {
        job_id: PHASES[told["job_state"]] for job_id, told in raw.items()}
    assert all(job.how for job in jobs.values() if job.phase == GONE)
    if len(jobs) == 1:
        assert list(jobs.values()) == [TOLD[answer["name"]]]


@pytest.mark.parametrize("answer", WITH_JOBS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_damaged_answer_hides_no_job(answer: dict[str, Any], data: st.DataObject) -> None:
    """Cut off it is no answer at all; what else may happen to it leads to no crash."""
    cut = data.draw(st.integers(1, len(answer["out"].rstrip()) - 1))
    with pytest.raises(SchedulerUnavailable):
        _jobs({"out": answer["out"][:cut]})
    with contextlib.suppress(SchedulerUnavailable):
        _jobs({"out": data.draw(cut_or_changed(answer["out"], NOISE))})


@pytest.mark.parametrize("answer", _of("qstat", lambda answer: answer["code"] in (35, 153)))
def test_finished_and_unknown_jobs_are_gone_and_no_other(answer: dict[str, Any]) -> None:
    number = answer["argv"].split()[-1]
    assert pbs.is_gone(_result(answer), job_id=number)
    assert not pbs.is_gone(_result(answer), job_id="24.sps")
    assert not pbs.is_gone(_result(answer), job_id=f"1{number}")
    for cut in range(answer["err"].index(number.split(".", maxsplit=1)[0])):
        assert not pbs.is_gone(Result(answer["code"], "", answer["err"][:cut]), job_id=number)


@pytest.mark.parametrize("name", NOT_GONE)
@settings(max_examples=30)
@given(data=st.data())
def test_no_answer_is_never_gone(name: str, data: st.DataObject) -> None:
    answer = ANSWERS[name]
    damaged = data.draw(cut_or_changed(answer["err"] or " ", NOISE))
    for error in (answer["err"], damaged):
        result = Result(answer["code"], answer["out"], error, timed_out=answer["code"] == 124)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(running, "run", functools.partial(_run, result))
            with pytest.raises(SchedulerUnavailable):
                pbs.Pbs().query("35.sps")


def _run(result: Result, argv: list[str], **_options: object) -> Result:
    return VERSION if "--version" in argv else result


VERSION = _result(ANSWERS["qstat-version"])


@pytest.mark.parametrize("answer", _of("qsub", lambda answer: "--version" not in answer["argv"]))
def test_what_qsub_said_is_a_job_or_a_refusal_or_unclear(answer: dict[str, Any]) -> None:
    result, lines = _result(answer), answer["out"].split()
    if answer["code"] == 0 and "[" not in answer["out"]:
        assert [pbs.read_submit(result)] == lines
        return
    unclear = answer["code"] == 0 or answer["name"].startswith("server-")
    with pytest.raises(SubmitUnclear if unclear else SubmitRefused):
        pbs.read_submit(result)


@pytest.mark.parametrize("answer", _of("qsub", lambda answer: answer["name"].startswith("server-")))
def test_a_complaint_that_was_cut_off_is_no_refusal(answer: dict[str, Any]) -> None:
    for cut in range(len(answer["err"])):
        with pytest.raises(SubmitUnclear):
            pbs.read_submit(Result(answer["code"], "", answer["err"][:cut]))


@pytest.mark.parametrize("answer", _of("qdel", lambda answer: "banana" not in answer["argv"]))
def test_what_qdel_said_is_done_or_not(answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", lambda *_argv, **_options: _result(answer))
    fails = answer["code"] not in (0, 35, 153)
    with pytest.raises(SchedulerUnavailable) if fails else contextlib.nullcontext():
        pbs.Pbs().cancel(answer["argv"].split()[1])


def test_the_account_s_jobs_are_listed_by_number_and_then_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[list[str]] = []

    def run(argv: list[str], **_options: object) -> Result:
        asked_for.append(argv)
        name = "qstat-version" if "--version" in argv else "qstat-u" if "-u" in argv else "qstat-f-json-R"
        return _result(ANSWERS[name])

    monkeypatch.setattr(running, "run", run)
    assert pbs.Pbs().find("mylab") == [TOLD["qstat-f-json-R"]]
    assert asked_for[-1] == ["qstat", "-f", "-F", "json", "10"]
    assert pbs.Pbs().find("other") == []

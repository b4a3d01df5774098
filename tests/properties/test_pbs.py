"""PBS's answers as they were recorded, then damaged: never a crash, and never ``gone`` of a job that may live."""

from __future__ import annotations

import contextlib
import functools
import json
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
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import pbs
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.recorded import Answer, Recordings, result
from tests.properties.seeds import cut_or_changed

RECORDED = Recordings("pbs.json")
NOISE = '{}[]",:\\\n\r\t 0179_+-\x1c\u2028\u0661'
PHASES = {"Q": PENDING, "H": PENDING, "W": PENDING, "R": RUNNING, "B": RUNNING, "E": ENDING, "F": GONE}
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
NOT_GONE = ("nohist-qstat-xf-json", "nohist-qstat-x", "qstat-json-R", "server-down-qstat-json", "server-down-qstat",
            "server-hung-qstat-json", "server-hung-qstat", "server-unreachable-qstat-json", "server-unreachable-qstat")


def _jobs(answer: Answer) -> dict[str, Job]:
    return {job_id: pbs.job_of(job_id, told) for job_id, told in pbs.parse(answer["out"]).items()}


WITH_JOBS = RECORDED.of("qstat", lambda answer: '"Jobs"' in answer["out"])
TABLES = RECORDED.of("qstat", lambda answer: "Time Use S Queue" in answer["out"] or answer["name"] == "qstat-f-R")


def test_nothing_was_recorded_in_vain() -> None:
    assert RECORDED.unused() == []


@pytest.mark.parametrize("answer", WITH_JOBS)
def test_every_job_is_told_as_it_was_recorded(answer: Answer) -> None:
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
def test_a_damaged_answer_hides_no_job(answer: Answer, data: st.DataObject) -> None:
    """Cut off it is no answer at all; what else may happen to it leads to no crash."""
    cut = data.draw(st.integers(1, len(answer["out"].rstrip()) - 1))
    with pytest.raises(SchedulerUnavailable):
        _jobs({"out": answer["out"][:cut]})
    with contextlib.suppress(SchedulerUnavailable):
        _jobs({"out": data.draw(cut_or_changed(answer["out"], NOISE))})


@pytest.mark.parametrize("answer", RECORDED.of("qstat", lambda answer: answer["code"] in (35, 153)))
def test_finished_and_unknown_jobs_are_gone_and_no_other(answer: Answer) -> None:
    number = answer["argv"].split()[-1]
    assert pbs.is_gone(result(answer), job_id=number)
    assert not pbs.is_gone(result(answer), job_id="24.sps")
    assert not pbs.is_gone(result(answer), job_id=f"1{number}")
    for cut in range(answer["err"].index(number.split(".", maxsplit=1)[0])):
        assert not pbs.is_gone(Result(answer["code"], "", answer["err"][:cut]), job_id=number)


@pytest.mark.parametrize("answer", [pytest.param(RECORDED.one(name), id=name) for name in NOT_GONE])
@settings(max_examples=30)
@given(data=st.data())
def test_no_answer_is_never_gone(answer: Answer, data: st.DataObject) -> None:
    damaged = data.draw(cut_or_changed(answer["err"] or " ", NOISE))
    for error in (answer["err"], damaged):
        told = Result(answer["code"], answer["out"], error, timed_out=answer["code"] == 124)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(running, "run", functools.partial(_run, told))
            with pytest.raises(SchedulerUnavailable):
                pbs.Pbs().query("35.sps")


def _run(told: Result, argv: list[str], **_options: object) -> Result:
    return VERSION if "--version" in argv else told


VERSION = result(RECORDED.one("qstat-version"))


@pytest.mark.parametrize("answer", TABLES)
def test_the_letter_of_every_job_in_a_table_is_known(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are for people: a letter is the same as elsewhere, and the table itself is no answer."""
    letters = re.findall(r"(?:^\d.* |job_state = )([A-Z])(?: \S+ *)?$", answer["out"], re.MULTILINE)
    assert letters != []
    assert [pbs.job_of("7", {"job_state": each}).phase for each in letters] == [PHASES[each] for each in letters]
    monkeypatch.setattr(running, "run", functools.partial(_run, result(answer)))
    with pytest.raises(SchedulerUnavailable):
        pbs.Pbs().query("10.sps")


def _listing(monkeypatch: pytest.MonkeyPatch, listed: Result) -> list[list[str]]:
    """What is asked for from now on, where the account's jobs are ``listed``."""
    asked_for: list[list[str]] = []

    def run(argv: list[str], **_options: object) -> Result:
        asked_for.append(argv)
        return VERSION if "--version" in argv else listed if "-u" in argv else SHOWN

    monkeypatch.setattr(running, "run", run)
    return asked_for


def test_an_account_s_arrays_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for = _listing(monkeypatch, WITH_ARRAY)
    with pytest.raises(SchedulerUnavailable):  # it shows one of them only
        pbs.Pbs().find("mylab")
    assert asked_for[-1] == ["qstat", "-f", "-F", "json", "21", "22", "24", "28"]


WITH_ARRAY, SHOWN, LISTED = (result(RECORDED.one(name)) for name in ("qstat-arr", "qstat-f-json-R", "qstat-u"))


@pytest.mark.parametrize("answer", RECORDED.of("qsub"))
def test_what_qsub_said_is_a_job_or_a_refusal_or_unclear(answer: Answer) -> None:
    told, lines = result(answer), answer["out"].split()
    if answer["code"] == 0 and "[" not in answer["out"]:
        assert [pbs.read_submit(told)] == lines
        return
    unclear = answer["code"] == 0 or answer["name"].startswith("server-")
    with pytest.raises(SubmitUnclear if unclear else SubmitRefused):
        pbs.read_submit(told)


@pytest.mark.parametrize("answer", RECORDED.of("qsub", lambda answer: answer["name"].startswith("server-")))
def test_a_complaint_that_was_cut_off_is_no_refusal(answer: Answer) -> None:
    for cut in range(len(answer["err"])):
        with pytest.raises(SubmitUnclear):
            pbs.read_submit(Result(answer["code"], "", answer["err"][:cut]))


@pytest.mark.parametrize("answer", RECORDED.of("qstat", lambda answer: answer["name"].startswith("server-")))
def test_a_server_that_is_lost_refuses_nothing_beforehand(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", functools.partial(_run, result(answer)))
    with pytest.raises(SchedulerUnavailable):
        pbs.Pbs().refusal(Resources(partition="gpu"))


def test_whether_queues_take_jobs_is_read_from_their_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", functools.partial(_run, QUEUES))
    assert pbs.Pbs().refusal(Resources()) == ""
    closed = QUEUES.out.replace(" yes yes ", "  no yes ")
    monkeypatch.setattr(running, "run", functools.partial(_run, Result(0, closed, "")))
    assert pbs.Pbs().refusal(Resources()) == "no queue takes jobs"


QUEUES = result(RECORDED.one("qstat-Q"))


@pytest.mark.parametrize("answer", RECORDED.of("qdel"))
def test_what_qdel_said_is_done_or_not(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", lambda *_argv, **_options: result(answer))
    fails = answer["code"] not in (0, 35, 153)
    with pytest.raises(SchedulerUnavailable) if fails else contextlib.nullcontext():
        pbs.Pbs().cancel(answer["argv"].split()[1])


def test_the_account_s_jobs_are_listed_by_number_and_then_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for = _listing(monkeypatch, LISTED)
    assert pbs.Pbs().find("mylab") == [TOLD["qstat-f-json-R"]]
    assert asked_for[-1] == ["qstat", "-f", "-F", "json", "10"]
    assert pbs.Pbs().find("other") == []

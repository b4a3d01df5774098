"""Slurm's answers as they were recorded, then damaged: never a crash, and never ``gone`` of a job that may live."""

from __future__ import annotations

import contextlib
import re

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm, slurm_end, slurm_step
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.recorded import Answer, Recordings, result
from tests.properties.seeds import cut_or_changed

RECORDED = Recordings("slurm.json")
OVER = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT")
NOISE = "|\n\r\t 0179_+ac:-\x1c\u2028\u0661"
"""What damage may bring, but for the letters of a state."""

HEADER = "JOBID|STATE|REASON|NODELIST|EXEC_HOST|START_TIME|END_TIME|NAME\n"
ANSWERED = RECORDED.of("squeue", lambda answer: answer["code"] == 0)
ROWS = sorted({row for answer in ANSWERED for row in answer.values[0]["out"].splitlines()[1:]
               if row.split("|")[0].isdigit()})
LIVE = [row for row in ROWS if row.split("|")[1] not in (*OVER, "COMPLETING")]
ENDED = [row for row in ROWS if row not in LIVE]


def _at(clock: str) -> str:
    return f"2026-11-21T{clock}Z" if clock else ""


def _waits(number: int, reason: str, *, start: str = "", hopeless: bool = False) -> Job:
    return Job(f"{number}", PENDING, reason=reason, hopeless=hopeless, starts_at=_at(start))


def _runs(number: int | str, node: str, end: str) -> Job:
    return Job(f"{number}", RUNNING, node=node, ends_at=_at(end))


def _finished(number: int, node: str = "c1") -> Job:
    return Job(f"{number}", GONE, reason="COMPLETED", how="finished", node=node)


DOWN, ELSEWHERE = _waits(5, "PartitionDown"), _waits(48, "Dependency")
LATER, HELD = _waits(49, "BeginTime", start="06:56:01"), _waits(47, "JobHeldUser")
TOO_LONG = _waits(46, "PartitionTimeLimit", hopeless=True)
TOLD = {
    "own-done-tall": [_finished(6, "n2")],
    "own-done": [],
    "own-squeue": [
        DOWN, _waits(7, "Resources", start="06:09:15"), _waits(8, "Priority", start="06:14:00"),
        _waits(9, "Priority", start="06:24:00"), _runs(6, "n2", "06:09:15"),
    ],
    "own-squeue-later": [
        DOWN, _waits(8, "Resources", start="06:09:20"), _waits(9, "Priority", start="06:19:00"),
        _runs(7, "n2", "06:09:20"), _runs(10, "n1", "06:05:18"),
    ],
    "own-squeue-after": [
        DOWN, _waits(9, "Resources", start="06:15:04"), _runs(8, "n2", "06:15:04"), _runs(10, "n1", "06:05:18"),
    ],
    "own-squeue-weird": [_waits(10, "Priority")],
    "own-squeue-failed": [Job("1", GONE, how="failed", reason="FAILED, BadConstraints")],
    "squeue-first": [_waits(37, "")],
    "squeue-R": [_runs(37, "c1", "06:05:59")],
    "squeue-array": [_runs("52_2", "c1", "05:57:31"), _runs("52_1", "c1", "05:57:31")],
    "squeue-bad-chdir": [_runs(55, "c1", "05:57:34")],
    "squeue-bad-output": [Job("54", GONE, how="failed", reason="FAILED, JobLaunchFailure", node="c1")],
    "squeue-begin": [LATER],
    "squeue-two": [LATER],
    "squeue-just-cancelled": [Job("51", ENDING, reason="COMPLETING", node="c1")],
    "squeue-cancelled-1s": [Job("51", GONE, how="stopped", reason="cancelled (CANCELLED)", node="c1")],
    "squeue-dep": [ELSEWHERE],
    "squeue-dep-never": [_waits(48, "DependencyNeverSatisfied", hopeless=True)],
    "squeue-done-tall": [_finished(37)],
    "squeue-done-within-minjobage": [],
    "squeue-fail": [Job("50", GONE, how="failed", reason="FAILED, NonZeroExitCode", node="c1")],
    "squeue-hold": [HELD],
    "hold-by-root": [_waits(61, "JobHeldAdmin")],
    "squeue-over-time": [TOO_LONG],
    "requeue": [_waits(58, "BeginTime", start="05:59:53")],
    "requeue-hold": [_waits(59, "job requeued in held state", start="06:00:02")],
    "time-limit": [_finished(63)],
    "squeue-all-mixed": [
        *map(_finished, range(32, 37)), _runs(37, "c1", "06:05:59"), _finished(38),
        Job("39", GONE, how="failed", reason="FAILED, BadConstraints"), _waits(40, "PartitionConfig", hopeless=True),
        _waits(41, "PartitionConfig", hopeless=True), _runs(43, "c1", "05:57:01"), _runs(44, "c2", "05:57:01"),
        TOO_LONG, HELD, ELSEWHERE, LATER,
    ],
}
BUSY = "Requested node configuration is not available"
REFUSED = {
    "invalid partition specified: nosuch; Batch job submission failed: Invalid partition name specified":
        ("err-partition",),
    "Invalid generic resource (gres) specification": ("err-gres", "own-gres-unknown"),
    f"Memory specification can not be satisfied; Batch job submission failed: {BUSY}": ("err-mem", "own-mem"),
    f"Batch job submission failed: {BUSY}": ("own-gres-bad", "own-gres-many", "own-gres-wrongpart"),
    "Batch job submission failed: More processors requested than permitted": ("own-cpus", "own-nodes"),
    "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)": ("own-overtime",),
    "Batch job submission failed: User's group not permitted to use this partition": ("own-part-priv",),
    "Batch job submission failed: Invalid feature specification": ("err-constraint",),
    "Batch job submission failed: Requested reservation is invalid": ("err-reservation",),
    "Unable to open file /nonexistent.sh": ("err-script-missing",),
    "Invalid --time specification": ("err-time-bad",),
    'unrecognized option \'--badflag\'; Try "sbatch --help" for more information': ("err-flag",),
    "This does not look like a batch script.  The first; line must start with #! followed by the path to an "
    "interpreter.; For instance: #!/bin/sh": ("err-noshebang",),
}
REFUSALS = {name: result(RECORDED.one(name)) for names in REFUSED.values() for name in names}
NOT_CANCELLED = {
    "scancel-bad": "Invalid job id banana",
    "scancel-other-user": "Kill job error on job id 62: Access/permission denied",
    "ctld-hung-scancel": "Kill job error on job id 1: Socket timed out on send/recv operation",
    "ctld-refused-scancel": "Kill job error on job id 1: Unable to contact slurm controller (connect failure)",
    "ctld-unreachable-scancel": "Kill job error on job id 1: Unable to contact slurm controller (connect failure)",
}


def test_nothing_was_recorded_in_vain() -> None:
    assert RECORDED.unused() == []


def _id(row: str) -> str:
    return row.split("|", maxsplit=1)[0]


def test_the_recordings_hold_what_they_should() -> None:
    assert {row.split("|")[1] for row in LIVE} == {"PENDING", "RUNNING"}
    assert {row.split("|")[1] for row in ENDED} == {"CANCELLED", "COMPLETED", "COMPLETING", "FAILED"}


@pytest.mark.parametrize("answer", ANSWERED)
def test_every_job_is_told_as_it_was_recorded(answer: Answer) -> None:
    assert slurm.parse_squeue(answer["out"]) == TOLD[answer["name"]]


@pytest.mark.parametrize("row", LIVE)
@settings(max_examples=60)
@given(data=st.data())
def test_a_live_job_is_never_gone_whatever_happens_to_the_answer(row: str, data: st.DataObject) -> None:
    text = data.draw(cut_or_changed(f"{HEADER}{row}\n", NOISE))
    with contextlib.suppress(SchedulerUnavailable):
        job = slurm.read_query(Result(0, text, ""), job_id=_id(row))
        assert (job.job_id, job.phase in (PENDING, RUNNING)) == (_id(row), True)


@given(st.lists(st.sampled_from(ROWS), unique_by=_id, max_size=6), st.integers(0, 2000))
def test_a_cut_answer_hides_no_job(rows: list[str], cut: int) -> None:
    """What ends within a line is no answer; what ends after one is an answer with a job less, as long as it has any."""
    text = (HEADER + "".join(f"{row}\n" for row in rows))[:cut]
    try:
        jobs = slurm.parse_squeue(text)
    except SchedulerUnavailable:
        assert not text.endswith("\n")
        return
    assert [job.job_id for job in jobs] == [_id(row) for row in rows][:len(jobs)]
    assert text == "" or text.count("\n") == len(jobs) + 1


@given(st.sampled_from(ROWS), st.text(max_size=30), st.sampled_from(["CLUSTER: x", "* closed | on | monday *", ""]))
def test_notices_around_an_answer_change_nothing(row: str, junk: str, notice: str) -> None:
    name = "".join(char for char in junk if char != "\n")
    text = f"{notice}\n{HEADER}{row}{name}\n"
    plain = slurm.read_query(Result(0, f"{HEADER}{row}\n", ""), job_id=_id(row))
    assert slurm.read_query(Result(0, text, ""), job_id=_id(row)) == plain


@given(st.sampled_from(LIVE + ENDED), st.sampled_from(LIVE + ENDED))
def test_an_answer_about_another_job_is_none(asked: str, answered: str) -> None:
    if _id(asked) == _id(answered):
        return
    message = f"^squeue answered about job {_id(answered)}, asked about {_id(asked)}$"
    with pytest.raises(SchedulerUnavailable, match=message):
        slurm.read_query(Result(0, f"{HEADER}{answered}\n", ""), job_id=_id(asked))


SILENT = RECORDED.of("squeue", lambda answer: answer["name"].startswith("ctld-"))
UNKNOWN = RECORDED.of("squeue", lambda answer: "Invalid job id" in answer["err"])


@pytest.mark.parametrize("answer", [
    *SILENT, pytest.param({"code": -9, "err": ""}, id="killed"), pytest.param({"code": 0, "err": ""}, id="empty"),
])
@settings(max_examples=50)
@given(data=st.data())
def test_no_answer_is_never_gone(answer: Answer, data: st.DataObject) -> None:
    error = data.draw(cut_or_changed(answer["err"] or " ", NOISE))
    with pytest.raises(SchedulerUnavailable):
        slurm.read_query(Result(answer["code"], "", error), job_id="37")


@pytest.mark.parametrize("answer", UNKNOWN)
def test_a_job_that_slurm_does_not_know_is_gone_only_in_its_own_words(answer: Answer) -> None:
    assert slurm.read_query(result(answer), job_id="37") == Job("37", GONE)
    with pytest.raises(SchedulerUnavailable):
        slurm.read_query(Result(answer["code"], "", answer["err"], timed_out=True), job_id="37")
    with pytest.raises(SchedulerUnavailable):
        slurm.read_query(Result(0, "", answer["err"]), job_id="37")


SUBMITTED = RECORDED.of("sbatch", lambda answer: re.fullmatch(r"\d+\n", answer["out"]) is not None)
UNCLEAR = RECORDED.of("sbatch", lambda answer: answer["name"].startswith("ctld-"))


@pytest.mark.parametrize("answer", SUBMITTED)
def test_a_job_that_sbatch_took_has_its_number(answer: Answer) -> None:
    assert slurm.read_submit(result(answer)) == answer["out"].strip()


@pytest.mark.parametrize(("words", "name"), [(words, name) for words, names in REFUSED.items() for name in names])
def test_what_sbatch_refuses_is_refused_beforehand_too(words: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = REFUSALS[name]
    with pytest.raises(SubmitRefused) as caught:
        slurm.read_submit(refused)
    assert str(caught.value) == f"Slurm refused the job: {words}"
    monkeypatch.setattr(slurm, "_run", lambda _argv, **_options: refused)
    assert slurm.Slurm().refusal(Resources()) == words


ACCEPTED, PLAIN = result(RECORDED.one("sbatch-test-only")), result(RECORDED.one("sbatch-plain"))


def test_what_sbatch_would_take_is_no_job_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_run", lambda _argv, **_options: ACCEPTED)
    assert slurm.Slurm().refusal(Resources()) == ""
    for answer in (ACCEPTED, PLAIN):
        with pytest.raises(SubmitUnclear, match=r"^sbatch succeeded without naming one job: "):
            slurm.read_submit(answer)


@pytest.mark.parametrize("answer", UNCLEAR)
def test_a_complaint_that_was_cut_off_is_no_refusal(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal says that there is no job; where a job may be, a second one must not follow."""
    for cut in range(len(answer["err"]) + 1):
        with pytest.raises(SubmitUnclear):
            slurm.read_submit(Result(answer["code"], "", answer["err"][:cut]))
    for code in (-15, 137):
        with pytest.raises(SubmitUnclear):
            slurm.read_submit(Result(code, "", "slurmstepd: something else\n"))
    monkeypatch.setattr(slurm, "_run", lambda _argv, **_options: result(answer))
    with pytest.raises(SchedulerUnavailable, match=r"^sbatch --test-only could not say: Batch job submission failed: "):
        slurm.Slurm().refusal(Resources())


@pytest.mark.parametrize("answer", RECORDED.of("scancel"))
def test_what_scancel_said_is_done_or_not(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "_run", lambda _argv, **_options: result(answer))
    job_id, why = answer["argv"].split()[-1], NOT_CANCELLED.get(answer["name"], "")
    message = f"^{re.escape(f'scancel could not end job {job_id}: {why}')}$"
    with pytest.raises(SchedulerUnavailable, match=message) if why else contextlib.nullcontext():
        slurm.Slurm().cancel(job_id)


NO_ACCOUNTING = result(RECORDED.one("sacct"))


def test_who_cancelled_a_job_is_not_known_without_accounting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_end, "run", lambda _argv, **_options: NO_ACCOUNTING)
    assert slurm_end.canceller("37") == ""


STEPS = "STEPID|NODELIST|NAME\n4711.0|c1|hpc-jupyter-default\n4711.extern|c1|extern\n"


@given(cut_or_changed(STEPS, NOISE), st.integers(0, len(STEPS)))
def test_steps_are_read_whole_or_not_at_all(changed: str, cut: int) -> None:
    with contextlib.suppress(SchedulerUnavailable):
        slurm_step.parse(changed)
    with contextlib.suppress(SchedulerUnavailable):
        found = slurm_step.parse(STEPS[:cut])
        assert found == [] or found == [Job("4711.0", RUNNING, node="c1")]
        assert not STEPS[:cut] or STEPS[:cut].endswith("\n")


@given(st.text(NOISE + "RUNI", max_size=60) | cut_or_changed("37|RUNNING|alice\n", NOISE))
def test_whose_a_job_is_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadInput):
        slurm_step.check_job(text, job="37", user="alice", host="login1")
        assert "37|RUNNING|alice" in text

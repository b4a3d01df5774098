"""Slurm's answers as they were recorded, then damaged: never a crash, and never ``gone`` of a job that may live."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm, slurm_step
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import ENDING, GONE, PENDING, RUNNING, Job
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.seeds import cut_or_changed

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data/slurm.json").read_text())
OVER = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT")
NOISE = "|\n\r\t 0179_+ac:-\x1c\u2028\u0661"
"""What damage may bring, but for the letters of a state."""

HEADER = "JOBID|STATE|REASON|NODELIST|EXEC_HOST|START_TIME|END_TIME|NAME\n"
ANSWERED = {row for answer in RECORDED["squeue"] for row in answer["out"].splitlines()[1:]}
ROWS = sorted(row for row in ANSWERED if row.split("|")[0].isdigit())
LIVE = [row for row in ROWS if row.split("|")[1] not in (*OVER, "COMPLETING")]
ENDED = [row for row in ROWS if row not in LIVE]


def _id(row: str) -> str:
    return row.split("|", maxsplit=1)[0]


def test_the_recordings_hold_what_they_should() -> None:
    assert {row.split("|")[1] for row in LIVE} == {"PENDING", "RUNNING"}
    assert {row.split("|")[1] for row in ENDED} == {"CANCELLED", "COMPLETED", "COMPLETING", "FAILED"}


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


FAILURES = [*RECORDED["silent"], {"name": "killed", "code": -9, "err": ""}, {"name": "empty", "code": 0, "err": ""}]


@pytest.mark.parametrize("answer", FAILURES, ids=lambda answer: str(answer["name"]))
@settings(max_examples=50)
@given(data=st.data())
def test_no_answer_is_never_gone(answer: dict[str, Any], data: st.DataObject) -> None:
    error = data.draw(cut_or_changed(answer["err"] or " ", NOISE))
    with pytest.raises(SchedulerUnavailable):
        slurm.read_query(Result(answer["code"], "", error), job_id="37")


@pytest.mark.parametrize("answer", RECORDED["unknown"], ids=lambda answer: str(answer["name"]))
def test_a_job_that_slurm_does_not_know_is_gone_only_in_its_own_words(answer: dict[str, Any]) -> None:
    assert slurm.read_query(Result(answer["code"], "", answer["err"]), job_id="37") == Job("37", GONE)
    with pytest.raises(SchedulerUnavailable):
        slurm.read_query(Result(answer["code"], "", answer["err"], timed_out=True), job_id="37")
    with pytest.raises(SchedulerUnavailable):
        slurm.read_query(Result(0, "", answer["err"]), job_id="37")


@pytest.mark.parametrize("row", ENDED)
def test_a_job_that_is_over_is_told_as_it_was_recorded(row: str) -> None:
    job = slurm.read_query(Result(0, f"{HEADER}{row}\n", ""), job_id=_id(row))
    assert job.phase == (ENDING if "COMPLETING" in row else GONE)


@pytest.mark.parametrize("answer", RECORDED["sbatch"], ids=lambda answer: str(answer["name"]))
def test_what_sbatch_said_is_a_job_or_a_refusal_or_unclear(answer: dict[str, Any]) -> None:
    result = Result(answer["code"], answer["out"], answer["err"])
    unclear = any(words in answer["err"] for words in ("timed out", "Unable to contact"))
    if answer["code"] == 0 and answer["out"].strip().isdigit():
        assert slurm.read_submit(result) == answer["out"].strip()
    else:
        with pytest.raises(SubmitUnclear if unclear or answer["code"] == 0 else SubmitRefused):
            slurm.read_submit(result)


SILENT = [answer for answer in RECORDED["sbatch"] if answer["name"].startswith("ctld-")]


@pytest.mark.parametrize("answer", SILENT, ids=lambda answer: str(answer["name"]))
def test_a_complaint_that_was_cut_off_is_no_refusal(answer: dict[str, Any]) -> None:
    """A refusal says that there is no job; where a job may be, a second one must not follow."""
    for cut in range(len(answer["err"])):
        with pytest.raises(SubmitUnclear):
            slurm.read_submit(Result(answer["code"], "", answer["err"][:cut]))
    for code in (-15, 137):
        with pytest.raises(SubmitUnclear):
            slurm.read_submit(Result(code, "", "slurmstepd: something else\n"))


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

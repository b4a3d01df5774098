# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import request as req
from ansible_collections.hpc.jupyter.plugins.module_utils.claim import Claim

_JOB = {"SLURM_JOB_ID": "42", "SLURMD_NODENAME": "c1", "SLURM_JOB_END_TIME": "1800000000"}
_INTENDED = rec.Record("default", "lab", "alice@lab", "slurm", generation=3, base_url="/x/")


def _claim(place: Path, record: rec.Record | None, **environment: str) -> Claim:
    if record is not None:
        rec.write(str(place / "record.json"), record)
    return Claim(str(place), 3, environment or _JOB)


def test_a_job_takes_its_session_and_says_where_it_is(tmp_path: Path) -> None:
    taken = _claim(tmp_path, replace(_INTENDED, state=rec.SUBMITTED, job_id="42")).take()
    assert taken == rec.read(str(tmp_path / "record.json"))
    assert taken is not None
    assert (taken.state, taken.node, taken.job_id, taken.pid) == (rec.STARTING, "c1", "42", os.getpid())
    assert taken.ends_at == rec.timestamp(1800000000)


def test_a_job_that_is_faster_than_its_submitter_notes_its_own_id(tmp_path: Path) -> None:
    taken = _claim(tmp_path, _INTENDED).take()
    assert taken is not None
    assert taken.job_id == "42"


@pytest.mark.parametrize(("record", "words"), [
    (None, "there is no record at "),
    (replace(_INTENDED, generation=4), "the session is at generation 4: this job, for 3, steps back"),
    (replace(_INTENDED, generation=2), "the session is at generation 2: this job, for 3, steps back"),
    (replace(_INTENDED, state=rec.READY, job_id="41"), "job 41 already runs this session: job 42 steps back"),
    (replace(_INTENDED, state=rec.ENDED, how="stopped"), "the session has ended already (stopped): nothing to start"),
])
def test_a_job_without_the_better_claim_steps_back(tmp_path: Path, record: rec.Record | None, words: str) -> None:
    claim = _claim(tmp_path, record)
    assert claim.take() is None
    assert claim.step_back.startswith(words)
    assert rec.read(str(tmp_path / "record.json")) == record


def test_a_requeued_job_goes_on_after_its_end(tmp_path: Path) -> None:
    ended = replace(_INTENDED, state=rec.ENDED, how="stopped", job_id="42")
    taken = _claim(tmp_path, ended, **dict(_JOB, SLURM_RESTART_COUNT="1")).take()
    assert taken is not None
    assert (taken.state, taken.how, taken.restarts) == (rec.STARTING, "", 1)


def test_nothing_is_written_once_a_newer_session_is_there(tmp_path: Path) -> None:
    claim = _claim(tmp_path, _INTENDED)
    claim.take()
    assert not claim.is_superseded()
    newer = replace(_INTENDED, generation=4)
    rec.write(str(tmp_path / "record.json"), newer)
    assert claim.is_superseded()
    assert claim.conclude(how="stopped", reason="x") is None
    assert claim.update(lambda record: replace(record, state=rec.READY)) is None
    assert rec.read(str(tmp_path / "record.json")) == newer


def test_a_run_whose_node_was_cut_off_leaves_the_session_to_the_next_run_of_its_job(tmp_path: Path) -> None:
    first = _claim(tmp_path, _INTENDED)
    first.take()
    second = Claim(str(tmp_path), 3, dict(_JOB, SLURMD_NODENAME="c2", SLURM_RESTART_COUNT="1"))
    taken = second.take()
    assert taken is not None
    assert (taken.state, taken.node, taken.job_id) == (rec.STARTING, "c2", "42")
    assert first.is_superseded()
    assert first.conclude(how="stopped", reason="x") is None
    assert not second.is_superseded()
    assert rec.read(str(tmp_path / "record.json")) == taken


def test_an_end_that_another_one_wrote_while_the_job_runs_is_taken_back(tmp_path: Path) -> None:
    claim, path = _claim(tmp_path, _INTENDED), str(tmp_path / "record.json")
    claim.take()
    ready = claim.update(lambda record: replace(record, state=rec.READY, socket="/tmp/x/s"))
    assert ready is not None
    rec.write(path, rec.ended(ready, how="lost", reason="the job is gone"))
    assert not claim.is_superseded()
    assert rec.read(path) == ready
    ended = claim.conclude(how="finished", reason="y")
    assert not claim.is_superseded()
    assert rec.read(path) == ended


def test_an_end_leaves_no_address_behind(tmp_path: Path) -> None:
    claim = _claim(tmp_path, _INTENDED)
    claim.take()
    claim.update(lambda record: replace(record, state=rec.READY, socket="/tmp/x/s"))
    ended = claim.conclude(how="finished", reason="y")
    assert ended is not None
    assert (ended.state, ended.how, ended.reason, ended.socket, ended.pid) == (rec.ENDED, "finished", "y", "", 0)


def test_without_a_scheduler_the_asked_time_counts_and_foreign_job_variables_do_not(tmp_path: Path) -> None:
    wanted = req.build(session="default", account="a", cluster="b", scheduler="none", resources={"time": "1:00:00"})
    (tmp_path / "request.json").write_bytes(wanted.to_json())
    claim = _claim(tmp_path, replace(_INTENDED, scheduler="none"), **dict(_JOB, HPC_JUPYTER_JOB_PID="77"))
    taken = claim.take()
    assert taken is not None
    assert taken.job_id == f"77.default@{socket.gethostname()}"
    assert taken.node == socket.gethostname().split(".", maxsplit=1)[0]
    assert rec.timestamp(claim.ends_at - 3600) == taken.started_at


def test_a_step_in_a_job_that_is_there_is_known_by_its_own_id(tmp_path: Path) -> None:
    wanted = req.build(session="default", account="a", cluster="b", scheduler="slurm", job="42")
    (tmp_path / "request.json").write_bytes(wanted.to_json())
    taken = _claim(tmp_path, replace(_INTENDED, job_id="42.1"), **dict(_JOB, SLURM_STEP_ID="1")).take()
    assert taken is not None
    assert (taken.job_id, taken.node, taken.ends_at) == ("42.1", "c1", rec.timestamp(1800000000))
    second = _claim(tmp_path, taken, **dict(_JOB, SLURM_STEP_ID="2"))
    assert second.take() is None
    assert second.step_back == "job 42.1 already runs this session: job 42.2 steps back"


def test_a_job_that_a_later_submit_has_adopted_is_that_one_s(tmp_path: Path) -> None:
    claim = _claim(tmp_path, replace(_INTENDED, generation=5, state=rec.SUBMITTED, job_id="42"))
    taken = claim.take()
    assert taken is not None
    assert (taken.generation, taken.job_id, taken.state) == (5, "42", rec.STARTING)
    assert not claim.is_superseded()


@pytest.mark.parametrize("content", [None, b"", b"{", replace(_INTENDED, generation=0, state="submitted", job_id="42")])
def test_a_record_that_was_lost_while_its_job_runs_is_written_again(
    tmp_path: Path, content: bytes | rec.Record | None
) -> None:
    claim, path = _claim(tmp_path, _INTENDED), tmp_path / "record.json"
    claim.take()
    known = claim.update(lambda record: replace(record, state=rec.READY, socket="/tmp/x/s"))
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        rec.write(str(path), content)
    assert not claim.is_superseded()
    assert rec.read(str(path)) == known


@pytest.mark.parametrize("content", [
    None, b"", b'{"schema": 1, "sess', replace(_INTENDED, state=rec.SUBMITTED, job_id="42", generation=1),
])
def test_what_is_to_be_said_while_the_record_is_lost_is_said_all_the_same(
    tmp_path: Path, content: bytes | rec.Record | None
) -> None:
    claim, path = _claim(tmp_path, _INTENDED), tmp_path / "record.json"
    taken = claim.take()
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        rec.write(str(path), content)
    claim.update(lambda record: replace(record, state=rec.READY, socket="/tmp/x/s"))
    assert taken is not None
    assert rec.read(str(path)) == replace(taken, state=rec.READY, socket="/tmp/x/s")

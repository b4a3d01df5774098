# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts and exit codes are those of Slurm 22.05."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
    SubmitUnclear,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Job,
    Order,
)

FAILED = "Batch job submission failed"
HEADER = "JOBID|STATE|REASON|NODELIST|EXEC_HOST|START_TIME|END_TIME|NAME\n"
RUNS = "37|RUNNING|None|c1|c1|2026-11-21T05:55:59|2026-11-21T06:05:59|hpc-jupyter-default\n"


def order(**resources: Any) -> Order:
    return Order("hpc-jupyter-s", ("/h/job.sh", "/h/s", "1"), "/h", "/h/job.log", Resources(**resources))


@pytest.mark.parametrize(
    ("resources", "options"),
    [
        ({}, []),
        ({"time": "2:00:00", "cpus": "4", "memory": "8G"}, ["--time=2:00:00", "--cpus-per-task=4", "--mem=8G"]),
        ({"gpus": "1"}, ["--gres=gpu:1"]),
        ({"gpus": "a100:2", "gres": "license:1"}, ["--gres=gpu:a100:2,license:1"]),
        (
            {"partition": "gpu", "project": "p1", "qos": "debug", "constraint": "haswell", "reservation": "r"},
            ["--partition=gpu", "--account=p1", "--qos=debug", "--constraint=haswell", "--reservation=r"],
        ),
        ({"nodes": "2", "exclusive": True}, ["--nodes=2", "--exclusive"]),
        ({"mail_user": "a@b", "mail_type": "BEGIN"}, ["--mail-user=a@b", "--mail-type=BEGIN"]),
        ({"dependency": "afterok:1", "extra": ("--licenses=a:1",)}, ["--dependency=afterok:1", "--licenses=a:1"]),
    ],
)
def test_resources_become_options_of_sbatch(resources: dict[str, Any], options: list[str]) -> None:
    fixed = ["--job-name=hpc-jupyter-s", "--output=/h/job.log", "--open-mode=append", "--chdir=/h"]
    job = ["/h/job.sh", "/h/s", "1"]
    assert slurm.submit_argv(order(**resources)) == ["sbatch", "--parsable", *fixed, *options, *job]


def test_an_option_and_its_value_are_no_one_word_of_sbatch() -> None:
    with pytest.raises(BadInput) as refused:
        slurm.Slurm().check(Resources(extra=("--licenses=a:1", "-l gpu=1")))
    assert str(refused.value) == (
        "extra: '-l gpu=1' is not an option of sbatch. Write one option a list item, such as --licenses=a:1"
    )


@pytest.mark.parametrize("text", [
    "37\n", "37;cluster\n", "Welcome!\n37\n", "sbatch: info 12 nodes\n37\n", "37;lab\n1000 hours left\n",
])
def test_the_id_is_found_among_banners(text: str) -> None:
    assert slurm.read_submit(Result(0, text, "")) == "37"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            Result(1, "", "sbatch: error: invalid partition specified: nosuch\n"
                          "sbatch: error: Batch job submission failed: Invalid partition name specified\n"),
            ("Slurm refused the job: invalid partition specified: nosuch; "
             "Batch job submission failed: Invalid partition name specified"),
        ),
        (
            Result(1, "", f"sbatch: error: {FAILED}: Requested node configuration is not available\n"),
            "Slurm refused the job: Batch job submission failed: Requested node configuration is not available",
        ),
    ],
)
def test_a_refusal_is_given_in_slurms_own_words(result: Result, message: str) -> None:
    with pytest.raises(SubmitRefused) as caught:
        slurm.read_submit(result)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "result",
    [
        Result(1, "", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"),
        Result(1, "", f"sbatch: error: {FAILED}: Unable to contact slurm controller (connect failure)\n"),
        Result(-1, "", "", timed_out=True),
        Result(0, "", ""),
        Result(0, "Submitted\n", ""),
        Result(0, "37\n1000\n", ""),
        Result(0, "12_3\n", ""),
        Result(0, "12+1\n", ""),
    ],
)
def test_a_submit_that_may_have_made_a_job_is_unclear(result: Result) -> None:
    with pytest.raises(SubmitUnclear):
        slurm.read_submit(result)


@pytest.mark.parametrize(
    ("row", "job"),
    [
        (RUNS, Job("37", RUNNING, node="c1", ends_at="2026-11-21T06:05:59Z")),
        ("37|PENDING|None||n/a|N/A|N/A|j\n", Job("37", PENDING)),
        (
            "7|PENDING|Resources||n/a|2026-11-21T06:09:15|2026-11-21T06:14:15|j\n",
            Job("7", PENDING, reason="Resources", starts_at="2026-11-21T06:09:15Z"),
        ),
        (
            "9|PENDING|PartitionTimeLimit||n/a|N/A|N/A|j\n",
            Job("9", PENDING, reason="PartitionTimeLimit", hopeless=True),
        ),
        ("9|PENDING|PartitionConfig||n/a|N/A|N/A|j\n", Job("9", PENDING, reason="PartitionConfig", hopeless=True)),
        (
            "9|PENDING|QOSMaxWallDurationPerJobLimit||n/a|N/A|N/A|j\n",
            Job("9", PENDING, reason="QOSMaxWallDurationPerJobLimit", hopeless=True),
        ),
        ("9|PENDING|QOSMaxCpuPerUserLimit||n/a|N/A|N/A|j\n", Job("9", PENDING, reason="QOSMaxCpuPerUserLimit")),
        ("9|PENDING|PartitionDown||n/a|N/A|N/A|j\n", Job("9", PENDING, reason="PartitionDown")),
        (
            "9|REQUEUE_HOLD|job requeued in held state||n/a|N/A|N/A|j\n",
            Job("9", PENDING, reason="job requeued in held state"),
        ),
        ("51|CANCELLED|None|c1|c1|N/A|N/A|j\n",
         Job("51", GONE, reason="cancelled (CANCELLED)", how="stopped", node="c1")),
        ("52|FAILED|NonZeroExitCode|c1|c1|N/A|N/A|j\n",
         Job("52", GONE, reason="FAILED, NonZeroExitCode", how="failed", node="c1")),
        ("53|TIMEOUT|TimeLimit|c1|c1|N/A|N/A|j\n",
         Job("53", GONE, reason="the job's time is over (TIMEOUT, TimeLimit)", how="time limit", node="c1")),
        ("54|COMPLETING|None|c1|c1|N/A|N/A|j\n", Job("54", ENDING, reason="COMPLETING", node="c1")),
        ("10|PENDING|Priority||n/a|N/A|N/A|we|ird name\n", Job("10", PENDING, reason="Priority")),
    ],
)
def test_a_row_of_squeue_is_read(row: str, job: Job) -> None:
    assert slurm.parse_squeue(f"CLUSTER: x\n{row}") == [job]


def test_an_unknown_state_is_not_guessed() -> None:
    with pytest.raises(SchedulerUnavailable, match=r"^squeue gave job 1 the unknown state 'NEW'$"):
        slurm.parse_squeue("1|NEW|None||n/a|N/A|N/A|j\n")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Result(0, "", ""), "squeue answered with nothing"),
        (Result(-1, "", "", timed_out=True), "squeue did not answer within 30 seconds"),
        (
            Result(1, "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"),
            "squeue failed: slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        ),
    ],
)
def test_no_answer_is_not_gone(result: Result, message: str) -> None:
    with pytest.raises(SchedulerUnavailable) as caught:
        slurm.read_query(result, job_id="37")
    assert str(caught.value) == message


def test_a_job_that_slurm_has_forgotten_is_gone() -> None:
    result = Result(1, "", "slurm_load_jobs error: Invalid job id specified\n")
    assert slurm.read_query(result, job_id="37") == Job("37", GONE)


def test_jobs_and_steps_of_ours_are_listed_whatever_else_the_account_has(monkeypatch: pytest.MonkeyPatch) -> None:
    name, other = job_names.job_name("a", "/h/root"), job_names.job_name("a", "/h/other")
    rows = [f"1|NEW|None||n/a|N/A|N/A|{other}", f"2|RUNNING|None|c1|c1|N/A|N/A|{name}",
            f"3|FAILED|x|c1|c1|N/A|N/A|{name}", f"4|PENDING|None||n/a|N/A|N/A|my {name}"]
    steps = [f"2.0|c1|{name}", f"7.3|c2|{name}", f"7.4|c2|{other}", "7.batch|c2|batch"]
    answers = {False: [HEADER.strip(), *rows], True: ["STEPID|NODELIST|NAME", *steps]}

    def run(argv: list[str], **_options: object) -> Result:
        return Result(0, "".join(f"{row}\n" for row in answers["-s" in argv]), "")

    monkeypatch.setattr(slurm, "_run", run)
    assert slurm.Slurm(root="/h/root").sessions() == [
        ("a", Job("2", RUNNING, node="c1")), ("a", Job("7.3", RUNNING, node="c2")),
    ]


@pytest.mark.parametrize("cut", range(0, len(HEADER + RUNS), 7))
def test_a_cut_off_answer_is_never_gone(cut: int) -> None:
    try:
        job = slurm.read_query(Result(0, (HEADER + RUNS)[:cut], ""), job_id="37")
    except SchedulerUnavailable:
        return
    assert job.phase == RUNNING


def test_a_step_passes_its_input_and_output_through_on_the_job_s_node() -> None:
    assert slurm.Slurm().step_argv("4711", node="c1", argv=["/usr/sbin/sshd", "-i"]) == [
        "srun", "--overlap", "--unbuffered", "-Q", "--jobid=4711", "-w", "c1", "--nodes=1", "--ntasks=1", "--chdir=/",
        "--mpi=none", "/usr/sbin/sshd", "-i",
    ]


def _answers(monkeypatch: pytest.MonkeyPatch, result: Result) -> list[list[str]]:
    asked: list[list[str]] = []

    def run(argv: list[str], **_options: object) -> Result:
        asked.append(argv)
        return result

    monkeypatch.setattr(slurm, "_run", run)
    return asked


def test_an_empty_answer_is_not_the_answer_that_there_is_no_such_job(monkeypatch: pytest.MonkeyPatch) -> None:
    _answers(monkeypatch, Result(0, "", ""))
    with pytest.raises(SchedulerUnavailable, match=r"^squeue answered with nothing$"):
        slurm.Slurm().find("hpc-jupyter-default-123456")


@pytest.mark.parametrize(("result", "count"), [
    (Result(0, "2                   \n", ""), 2),
    (Result(0, "Maintenance on 24 December\n0                   \n", ""), 0),
    (Result(1, "", "slurm_load_jobs error: Invalid job id specified\n"), 0),
])
def test_slurm_says_how_often_a_job_was_begun_anew(
    monkeypatch: pytest.MonkeyPatch, result: Result, count: int
) -> None:
    asked = _answers(monkeypatch, result)
    assert slurm.Slurm().restarts("4711") == count
    assert asked == [["squeue", "-h", "-t", "all", "-j", "4711", "-O", "RestartCnt"]]


def test_no_count_is_not_the_count_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _answers(monkeypatch, Result(0, "", ""))
    with pytest.raises(SchedulerUnavailable, match=r"^squeue did not say how often the job was begun anew$"):
        slurm.Slurm().restarts("4711")
    assert slurm.Slurm().restarts("4711.0") == 0
    assert len(asked) == 1


@pytest.mark.parametrize(("config", "seconds"), [
    ("MessageTimeout          = 10 sec\n", 30.0), ("MessageTimeout          = 100 sec\n", 210.0), ("", 30.0),
])
def test_an_unclear_submit_is_waited_for_as_long_as_slurm_may_take(
    monkeypatch: pytest.MonkeyPatch, config: str, seconds: float
) -> None:
    assert _answers(monkeypatch, Result(0, config, "")) == []
    assert slurm.Slurm().unclear_seconds() == seconds

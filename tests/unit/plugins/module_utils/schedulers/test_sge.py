# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts and exit codes are those of Grid Engine 8.1.9; all that was recorded is in tests/properties/test_sge.py."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import sge
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    ENDING,
    GONE,
    PENDING,
    RUNNING,
    Inside,
    Job,
    Order,
    Site,
    Surroundings,
)

LIST = """<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/util/resources/schemas/qstat/qstat.xsd">
  <queue_info>{}</queue_info>
  <job_info>{}</job_info>
</job_info>
"""
NOBODY = Result(0, LIST.format("", ""), "")
UNKNOWN = Result(1, "", "Following jobs do not exist: \n7\n")
GONE_ALREADY = 'denied: job "7" does not exist\n'


def row(number: int, state: str, name: str = "hpc-jupyter-s", more: str = "") -> str:
    return (f"<job_list><JB_job_number>{number}</JB_job_number><JB_name>{name}</JB_name><state>{state}</state>"
            f"<JAT_start_time>2026-11-21T05:20:22</JAT_start_time><queue_name>all.q@c1.example.org</queue_name>"
            f'{more}<hard_request name="h_rt" resource_contribution="0.0">7200</hard_request></job_list>')


@pytest.fixture(name="answers")
def _answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Result]:
    """What each command answers, by its beginning."""
    answers: dict[str, Result] = {}

    def run(argv: list[str], **_options: object) -> Result:
        command = " ".join(argv)
        return next((result for start, result in answers.items() if command.startswith(start)), UNKNOWN)

    monkeypatch.setattr(running, "run", run)
    return answers


@pytest.mark.parametrize(("resources", "site", "options"), [
    ({}, {}, []),
    ({"time": "1-02:00:00", "memory": "8G", "cpus": "4"}, {}, ["-pe", "smp", "4", "-l", "h_rt=93600,h_vmem=2G"]),
    ({"memory": "8G", "cpus": "3"}, {}, ["-pe", "smp", "3", "-l", "h_vmem=2731M"]),
    ({"memory": "1T"}, {}, ["-l", "h_vmem=1024G"]),
    ({"memory": "8G", "cpus": "4"}, {"memory_per": "job", "memory_resource": "mem_free"},
     ["-pe", "smp", "4", "-l", "mem_free=8G"]),
    ({"cpus": "2"}, {"parallel_environment": "sharedmem"}, ["-pe", "sharedmem", "2"]),
    ({"gpus": "a100:2"}, {}, ["-l", "gpu=2,gpu_type=a100"]),
    ({"gpus": "1"}, {"gpu_resource": "ngpus"}, ["-l", "ngpus=1"]),
    ({"partition": "gpu.q", "project": "p"}, {}, ["-q", "gpu.q", "-P", "p"]),
    ({"dependency": "15", "mail_user": "a@b", "mail_type": "be"}, {}, ["-hold_jid", "15", "-M", "a@b", "-m", "be"]),
    ({"reservation": "3", "extra": ("-l scratch=1", "-hard")}, {}, ["-ar", "3", "-l", "scratch=1", "-hard"]),
])
def test_resources_become_options_of_qsub(resources: dict[str, Any], site: dict[str, str], options: list[str]) -> None:
    order = Order("hpc-jupyter-s", ("/h/job.sh", "/h/s", "1"), "/h", "/h/job.log", Resources(**resources))
    assert sge.submit_argv(order, Site(**site)) == [
        "qsub", "-terse", "-sync", "n", "-N", "hpc-jupyter-s", "-j", "y", "-o", "/h/job.log", "-wd", "/h",
        "-S", "/bin/bash", "-notify", "-r", "n", "-w", "e", *options, "/h/job.sh", "/h/s", "1",
    ]


@pytest.mark.parametrize(("resources", "message"), [
    ({"qos": "debug"}, "qos: sge has nothing of that kind. Use project, or partition for a queue"),
    ({"nodes": "2"}, "nodes: sge has nothing of that kind. A session runs on one node: ask for cpus"),
    ({"extra": ("-t 1-5",)}, "extra: -t is set by hpc.jupyter itself and cannot be given"),
    ({"extra": ("-V",)}, "extra: -V is set by hpc.jupyter itself and cannot be given"),
])
def test_what_grid_engine_does_not_have_is_refused(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        sge.Sge().check(Resources(**resources))
    assert str(refused.value) == message


@pytest.mark.parametrize(("state", "phase", "reason"), [
    ("r", RUNNING, ""), ("t", RUNNING, ""), ("Rr", RUNNING, ""), ("s", RUNNING, ""), ("hr", RUNNING, ""),
    ("qw", PENDING, ""), ("Rq", PENDING, ""), ("hqw", PENDING, "it is held"),
    ("Eqw", PENDING, "it is in error state"), ("dr", ENDING, ""), ("dt", ENDING, ""), ("dqw", ENDING, ""),
    ("z", GONE, ""),
])
def test_the_letters_of_a_state(state: str, phase: str, reason: str) -> None:
    [found] = sge.parse_list(LIST.format(row(7, state), ""))
    ends_at = "2026-11-21T07:20:22Z" if phase == RUNNING else ""
    wanted = Job("7", phase, reason=reason, hopeless=state == "Eqw", node="c1", ends_at=ends_at)
    assert (found.job, found.name, found.started) == (wanted, "hpc-jupyter-s", "2026-11-21T05:20:22Z")


def test_the_whole_name_and_milliseconds_of_later_releases() -> None:
    more = "<full_job_name>hpc-jupyter-long</full_job_name>"
    text = row(7, "r", "hpc-jup", more).replace("2026-11-21T05:20:22", "1795238579000")
    [found] = sge.parse_list(LIST.format(text, ""))
    assert (found.name, found.started) == ("hpc-jupyter-long", "2026-11-21T05:22:59Z")


def test_an_unknown_state_is_not_guessed() -> None:
    with pytest.raises(SchedulerUnavailable, match=r"^qstat gave job 7 the unknown state 'X'$"):
        sge.parse_list(LIST.format(row(7, "X"), ""))


def test_a_job_is_gone_only_in_grid_engine_s_own_words(answers: dict[str, Result]) -> None:
    answers["qstat -xml"] = NOBODY
    assert sge.Sge().query("7") == Job("7", GONE)
    for other in (Result(0, "job_number: 7\n", ""), Result(1, "", "Following jobs do not exist: \n8\n"),
                  Result(-1, "", "", timed_out=True), Result(1, "", "error: commlib error: got select error\n")):
        answers["qstat -j"] = other
        with pytest.raises(SchedulerUnavailable):
            sge.Sge().query("7")


def test_a_silent_master_is_told_in_one_line(answers: dict[str, Result]) -> None:
    answers["qstat -xml"] = Result(
        1, "", "error: commlib error: got select error (No route to host)\n"
               'error: unable to contact qmaster using port 6444 on host "ctl"\n')
    with pytest.raises(SchedulerUnavailable) as caught:
        sge.Sge().find("x")
    assert str(caught.value) == (
        "qstat failed: commlib error: got select error (No route to host); "
        'unable to contact qmaster using port 6444 on host "ctl"')


def test_jobs_of_ours_are_found_and_waiting_ones_have_their_reason(answers: dict[str, Result]) -> None:
    ours, other = job_names.job_name("a", "/h/root"), job_names.job_name("a", "/h/other")
    rows = row(7, "qw", ours) + row(8, "z", ours) + row(9, "X", other)
    answers["qstat -xml"] = Result(0, LIST.format("", rows), "")
    answers["qstat -j 7"] = Result(
        0, 'scheduling info:            queue instance "all.q@c1" dropped because it is full\n   x\n', "")
    scheduler = sge.Sge(root="/h/root")
    assert [(name, job.job_id) for name, job in scheduler.sessions()] == [("a", "7")]
    assert [job.job_id for job in scheduler.find(ours)] == ["7"]
    assert scheduler.query("7").reason == 'queue instance "all.q@c1" dropped because it is full'


@pytest.mark.parametrize("result", [
    Result(0, "alice has registered the job 7 for deletion\n", ""), Result(1, GONE_ALREADY, ""),
    Result(1, "job 7 is already in deletion\n", ""),
])
def test_a_job_that_is_gone_can_be_cancelled(answers: dict[str, Result], result: Result) -> None:
    answers["qdel 7"] = result
    sge.Sge().cancel("7")


def test_a_cancel_that_was_not_heard_is_told(answers: dict[str, Result]) -> None:
    answers["qdel 7"] = Result(1, 'denied: host "c1" is not a submit host\n', "")
    with pytest.raises(SchedulerUnavailable) as caught:
        sge.Sge().cancel("7")
    assert str(caught.value) == 'qdel could not end job 7: denied: host "c1" is not a submit host'


@pytest.mark.parametrize(("result", "told"), [
    (Result(0, "verification: found suitable queue(s)\n", ""), ""),
    (Result(0, "", ""), None),
    (Result(1, "", 'Unable to run job: Job 2 (-l gpu=9) cannot run at host "c1" because it offers only hc:gpu=2.0\n'
                   "verification: no suitable queues\nExiting.\n"),
     'Unable to run job: Job 2 (-l gpu=9) cannot run at host "c1" because it offers only hc:gpu=2.0; '
     "verification: no suitable queues"),
])
def test_what_would_be_refused_is_told_beforehand(answers: dict[str, Result], result: Result, told: str | None) -> None:
    answers["qsub -l gpu=9 -w v -b y /bin/true"] = result
    assert sge.Sge().refusal(Resources(gpus="9")) == told


def test_a_silent_master_refuses_nothing_beforehand(answers: dict[str, Result]) -> None:
    answers["qsub"] = Result(1, "", 'Unable to run job: unable to contact qmaster using port 6444 on host "ctl"\n')
    with pytest.raises(SchedulerUnavailable, match=r"^qsub -w v could not say: Unable to run job: unable to contact "):
        sge.Sge().refusal(Resources())


def test_a_job_knows_its_number_and_its_node() -> None:
    told = {"JOB_ID": "42", "HOSTNAME": "c1.example.org", "RESTARTED": "0", "SLURM_JOB_ID": "7"}
    assert sge.Sge().inside(Surroundings(told, "default")) == Inside("42", "c1")

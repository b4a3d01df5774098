# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PBS and Torque; all that was recorded of OpenPBS is in tests/properties/test_pbs.py."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import job_names
from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, SchedulerUnavailable, SubmitRefused
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import pbs, pbs_torque
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
TORQUE = f"""<Data><Job><Job_Id>7.head.example.org</Job_Id><Job_Name>hpc-jupyter-def</Job_Name><job_state>R</job_state>
<Resource_List><walltime>02:00:00</walltime></Resource_List><exec_host>n1.example.org/0+n1.example.org/1</exec_host>
<Variable_List>PBS_O_HOME=/h,HPC_JUPYTER_NAME={NAME},PBS_O_LANG=C</Variable_List><start_time>1795239763</start_time>
</Job></Data>
""".replace("\n", "")
VERSIONS = {"torque": Result(0, "", "Version: 6.1.2\nCommit: 0\n"), "pbs": Result(0, "pbs_version = 23.06.06\n", "")}


def order(**resources: Any) -> Order:
    return Order(NAME, ("/h/job.sh", "/h/a b", "1"), "/h", "/h/job.log", Resources(**resources))


@pytest.fixture(name="answers")
def _answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Result]:
    """What each command answers, by its beginning."""
    answers: dict[str, Result] = {}

    def run(argv: list[str], **_options: object) -> Result:
        return next(result for start, result in answers.items() if " ".join(argv).startswith(start))

    monkeypatch.setattr(running, "run", run)
    return answers


@pytest.mark.parametrize(("resources", "site", "options"), [
    ({}, {}, ["-l", "select=1:ncpus=1"]),
    ({"time": "1-02:00:00", "memory": "8G", "cpus": "4"}, {},
     ["-l", "select=1:ncpus=4:mem=8gb", "-l", "walltime=26:00:00"]),
    ({"gpus": "a100:2"}, {}, ["-l", "select=1:ncpus=1:ngpus=2:gpu_type=a100"]),
    ({"gpus": "1", "constraint": "host=n1"}, {"gpu_resource": "gpus"}, ["-l", "select=1:ncpus=1:gpus=1:host=n1"]),
    ({"partition": "gpu", "project": "p"}, {}, ["-q", "gpu", "-A", "p", "-l", "select=1:ncpus=1"]),
    ({"exclusive": True, "extra": ("-l qos=high",)}, {},
     ["-l", "select=1:ncpus=1", "-l", "place=excl", "-l", "qos=high"]),
    ({"dependency": "afterany:1"}, {}, ["-W", "depend=afterany:1", "-l", "select=1:ncpus=1"]),
])
def test_resources_become_options_of_qsub(resources: dict[str, Any], site: dict[str, str], options: list[str]) -> None:
    fixed = ["-N", NAME, "-j", "oe", "-o", "/dev/null", "-r", "n"]
    job = ["--", "/h/job.sh", "/h/a b", "1"]
    assert pbs.submit_argv(order(**resources), Site(**site)) == ["qsub", *fixed, *options, *job]


def test_torque_has_other_terms_a_short_name_and_the_whole_one_in_a_variable() -> None:
    wanted = order(time="2:00:00", cpus="4", memory="8G", gpus="1", partition="q", exclusive=True)
    assert pbs_torque.submit_argv(wanted) == [
        "qsub", "-N", "hpc-jupyter-def", "-j", "oe", "-o", "/dev/null", "-r", "n", "-q", "q", "-S", "/bin/bash",
        "-v", f"HPC_JUPYTER_NAME={NAME}",
        "-l", "nodes=1:ppn=4:gpus=1,mem=8gb,walltime=7200,naccesspolicy=singlejob", "-F", "'/h/a b' 1", "/h/job.sh",
    ]


@pytest.mark.parametrize(("resources", "message"), [
    ({"qos": "high"}, "qos: pbs has nothing of that kind. Write extra: ['-l qos=NAME'], where the site has it"),
    ({"extra": ("-V",)}, "extra: -V is set by hpc.jupyter itself and cannot be given"),
    ({"extra": ("-l gpu=1", "-t1-3")}, "extra: -t is set by hpc.jupyter itself and cannot be given"),
    ({"extra": ("-Nfoo",)}, "extra: -N is set by hpc.jupyter itself and cannot be given"),
    ({"extra": ("-W umask=077,block=true",)}, "extra: -W block is set by hpc.jupyter itself and cannot be given"),
    ({"extra": ("-Wblock=true",)}, "extra: -W block is set by hpc.jupyter itself and cannot be given"),
])
def test_what_pbs_does_not_have_is_refused(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        pbs.Pbs().check(Resources(**resources))
    assert str(refused.value) == message


def test_what_else_pbs_has_may_be_given() -> None:
    pbs.Pbs().check(Resources(extra=("-l select=1", "-W umask=077", "-h", "-p 10")))


def test_a_refusal_is_given_in_pbs_s_own_words() -> None:
    with pytest.raises(SubmitRefused) as refused:
        pbs.read_submit(Result(188, "", "qsub: Job violates queue and/or server resource limits\n"))
    assert str(refused.value) == "PBS refused the job: Job violates queue and/or server resource limits"


CLOSED = """\
Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type
---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----
gpu                  0     1  no yes     0     1     0     0     0     0 Exe*
"""


@pytest.mark.parametrize(("result", "partition", "refusal"), [
    (Result(0, CLOSED.replace(" no yes", "yes  no"), ""), "gpu", ""),
    (Result(0, CLOSED, ""), "gpu", "queue gpu takes no jobs"),
    (Result(0, CLOSED, ""), "", "no queue takes jobs"),
    (Result(170, "", "qstat: Unknown queue nosuch\n"), "nosuch", "Unknown queue nosuch"),
    (Result(0, "", ""), "gpu", None),
])
def test_a_queue_that_takes_no_jobs_is_told_beforehand(
    answers: dict[str, Result], result: Result, partition: str, refusal: str | None
) -> None:
    answers[f"qstat -Q {partition}".strip()] = result
    assert pbs.Pbs().refusal(Resources(partition=partition)) == refusal


def test_jobs_of_torque_are_found_by_their_whole_name(answers: dict[str, Result]) -> None:
    answers.update({"qstat --version": VERSIONS["torque"], "qstat -u": Result(0, "\n7.head.exampl alice q\n", ""),
                    "qstat -x": Result(0, TORQUE, "")})
    job = Job("7.head.example.org", RUNNING, node="n1", ends_at="2026-11-21T07:42:43Z")
    assert pbs.Pbs().find(NAME) == [job]
    assert pbs.Pbs(root="/h/root").sessions() == [("default", job)]
    assert pbs.Pbs().query("7.head.example.org") == job


@pytest.mark.parametrize("cut", range(1, len(TORQUE) - 1, 31))
def test_a_cut_off_answer_of_torque_is_none(answers: dict[str, Result], cut: int) -> None:
    answers.update({"qstat --version": VERSIONS["torque"], "qstat -x": Result(0, TORQUE[:cut], "")})
    with pytest.raises(SchedulerUnavailable):
        pbs.Pbs().query("7")


@pytest.mark.parametrize(("state", "code", "job"), [
    ("C", "0", Job("7", GONE, how="finished")),
    ("C", "-11", Job("7", GONE, how="time limit", reason="the job's time is over")),
    ("C", "-10", Job("7", GONE, how="failed", reason="it used more memory than it had asked for")),
    ("C", "271", Job("7", GONE, how="stopped", reason="ended by signal 15")),
    ("W", "", Job("7", PENDING, reason="its start time has not come")),
])
def test_states_and_ends_of_torque(state: str, code: str, job: Job) -> None:
    assert pbs.job_of("7", {"job_state": state, "exit_status": code}) == job


@pytest.mark.parametrize("state", ["M", "", "?"])
def test_an_unknown_state_is_not_guessed(state: str) -> None:
    with pytest.raises(SchedulerUnavailable) as caught:
        pbs.job_of("7", {"job_state": state})
    assert str(caught.value) == f"qstat gave job 7 the unknown state {state!r}"


def test_a_job_is_gone_in_torque_s_words_too(answers: dict[str, Result]) -> None:
    answers.update({"qstat --version": VERSIONS["torque"],
                    "qstat -x": Result(153, "", "qstat: Unknown Job Id Error 7.head.example.org\n")})
    assert pbs.Pbs().query("7.head.example.org") == Job("7.head.example.org", GONE)


def test_the_end_of_a_job_is_looked_up_in_the_history(answers: dict[str, Result]) -> None:
    history = '{"Jobs": {"7.s": {"job_state": "F", "Exit_status": -29, "comment": "x"}}}\n'
    answers.update({"qstat --version": VERSIONS["pbs"], "qstat -x": Result(0, history, ""),
                    "qstat -f": Result(35, "{}\n", "qstat: 7.s Job has finished, use -x or -H\n")})
    assert pbs.Pbs().query("7.s") == Job("7.s", GONE, how="time limit", reason="the job's time is over")
    answers["qstat -x"] = Result(0, "{}\n", "qstat: PBS is not configured to maintain job history 7.s\n")
    assert pbs.Pbs().query("7.s") == Job("7.s", GONE)


def test_another_job_of_the_account_is_in_nobodys_way(answers: dict[str, Result]) -> None:
    shown = f'{{"Jobs": {{"7.s": {{"Job_Name": "{NAME}", "job_state": "Q"}}, "8.s": {{"job_state": "M"}}}}}}'
    answers.update({"qstat --version": VERSIONS["pbs"], "qstat -u": Result(0, "\n7.s alice q\n8.s alice q\n", ""),
                    "qstat -f": Result(0, shown, "")})
    assert pbs.Pbs().find(NAME) == [Job("7.s", PENDING)]
    answers["qstat -u"] = Result(0, "\n7.s alice q\n8.s alice q\n9.s alice q\n", "")
    with pytest.raises(SchedulerUnavailable, match=r"^qstat failed: it answered with nothing$"):
        pbs.Pbs().find(NAME)


def test_a_job_knows_its_number() -> None:
    assert pbs.Pbs().inside(Surroundings({"PBS_JOBID": "7.s"}, "default")) == Inside("7.s")

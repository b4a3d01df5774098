# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request, in the terms of every scheduler."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.request import build_resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import SCHEDULERS, lsf, pbs, pbs_torque, sge, slurm
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Order, Site

RESOURCES = build_resources({
    "time": "1-12:30:00", "cpus": "4", "memory": "8G", "gpus": "a100:2", "partition": "gpu", "project": "p42",
})
ORDER = Order("hpc-jupyter-s", ("/h/job.sh", "/h/s", "1"), "/h", "/h/job.log", RESOURCES)
JOB = ["/h/job.sh", "/h/s", "1"]
ASKED = {
    "slurm": (slurm.submit_argv(ORDER), [
        "--time=1-12:30:00", "--cpus-per-task=4", "--mem=8G", "--gres=gpu:a100:2", "--partition=gpu", "--account=p42",
        *JOB,
    ]),
    "pbs": (pbs.submit_argv(ORDER, Site()), [
        "-q", "gpu", "-A", "p42", "-l", "select=1:ncpus=4:mem=8gb:ngpus=2:gpu_type=a100", "-l", "walltime=36:30:00",
        "--", *JOB,
    ]),
    "torque": (pbs_torque.submit_argv(ORDER), [
        "-l", "nodes=1:ppn=4:gpus=2:a100,mem=8gb,walltime=131400", "-F", "/h/s 1", "/h/job.sh",
    ]),
    "sge": (sge.submit_argv(ORDER, Site()), [
        "-pe", "smp", "4", "-l", "h_rt=131400,h_vmem=2G,gpu=2,gpu_type=a100", "-q", "gpu", "-P", "p42", *JOB,
    ]),
    "lsf": (lsf.submit_argv(ORDER, Site()), [
        "-W", "2190", "-n", "4", "-q", "gpu", "-P", "p42", "-gpu", "num=2:gmodel=a100", "-R", "span[hosts=1]",
        "-R", "rusage[mem=8192MB]", *JOB,
    ]),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_same_request_in_the_terms_of(name: str) -> None:
    argv, asked = ASKED[name]
    assert argv[-len(asked):] == asked


@pytest.mark.parametrize("name", ["slurm", "pbs", "sge", "lsf"])
def test_what_every_scheduler_takes_is_refused_by_none(name: str) -> None:
    SCHEDULERS[name]().check(RESOURCES)

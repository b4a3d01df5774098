"""Guide 003: a password at first, then a key; Slurm with GPUs. By playbooks, as an admin does it."""

import re
from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import laptop, site

NODES = ("compute-0-11",)
GPUS = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['SLURM_MEM_PER_NODE'])"


@pytest.fixture(scope="module")
def gpulab() -> Iterator[site.Site]:
    with site.up(
        sites.GPULAB, jupyter_environment_kind="existing", jupyter_environment_path=laptop.JUPYTER
    ) as running:
        yield running


def test_from_a_password_to_a_gpu(gpulab: site.Site) -> None:
    password = gpulab.lab.passwords["alice"]
    play = ("ansible-playbook", "-i", "inventory")
    seen = gpulab.type([("SSH password: ", password)], *play, "hpc.jupyter.onboard", "--ask-pass")
    assert "By hand: ssh gpulab" in seen
    assert password not in seen
    gpulab.log_out()
    gpulab.person.play("launch")
    session = gpulab.launch()
    session.check(route="node", nodes=NODES)
    assert session.cell(GPUS) == "0 8192\n"
    gpulab.person.play("stop")
    gpulab.person.cli("disconnect", gpulab.person.account)
    assert gpulab.left() == []
    _in_a_job_that_is_there(gpulab)
    gpulab.check_auto(route="node", nodes=NODES)


def _in_a_job_that_is_there(gpulab: site.Site) -> None:
    """As after ``salloc``; the job is the person's, and stays."""
    argv = ["salloc", "--no-shell", "--partition=gpu", "--gpus=1", "--time=30"]
    made = gpulab.person.login.run(argv, user="alice")
    found = re.search(r"allocation (\d+)", made.stderr)
    assert found
    session = gpulab.launch("--job", found[1])
    assert session.told["job_id"].split(".")[0] == found[1]
    assert session.cell(site.WHERE) == f"{NODES[0]}\n"
    gpulab.person.cli("stop", gpulab.person.account)
    assert [row[0] for row in gpulab.person.squeue()] == [found[1]]
    gpulab.person.login.run(["scancel", found[1]], user="alice")

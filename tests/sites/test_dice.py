"""Guide 002: a gateway for logging in only, shared servers behind one name, a conda environment, nice."""

from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import site

NODES = ("ashbury", "barcelona")
REPOSITORY = "/home/alice/mlpractical"
ENVIRONMENT = "/opt/conda-stand-in/envs/mlp"
SELF = "import os; print(os.getcwd(), os.nice(0), os.environ['CONDA_PREFIX'])"


@pytest.fixture(scope="module")
def dice() -> Iterator[site.Site]:
    with site.up(sites.DICE) as running:
        # What the guide has a person do beforehand: clone the repository, install conda.
        running.person.login.run(["mkdir", REPOSITORY], user="alice")
        running.person.login.run(["ln", "-s", "/opt/conda-stand-in", "/home/alice/miniconda3"], user="alice")
        yield running


@pytest.mark.rows("F29", "F39")
def test_on_the_server_that_answered(dice: site.Site) -> None:
    session = dice.launch()
    session.check(route="node", nodes=NODES, why=site.FIRST)
    assert session.cell(SELF) == f"{REPOSITORY} 19 {ENVIRONMENT}\n"
    _another_server_answers(dice, session)
    dice.stop()
    _the_environment_by_its_path(dice)


def _another_server_answers(dice: site.Site, before: site.Session) -> None:
    """The session stays where it is, and is found there."""
    dice.person.cli("disconnect", dice.person.account)
    dice.log_out()
    assert before.node == "ashbury"
    dice.lab.resolve("student.compute.example.org", ["barcelona", "ashbury"])
    dice.launch(verb="connect").check(route="node", nodes=["ashbury"], why="it worked last time")


def _the_environment_by_its_path(dice: site.Site) -> None:
    """On the server to which the name leads now."""
    dice.log_out()
    dice.person.write_example(jupyter_environment_path=ENVIRONMENT, hpc_route="node")
    dice.person.play("setup")
    session = dice.launch()
    session.check(route="node", nodes=["barcelona"])
    assert session.cell(SELF) == f"{REPOSITORY} 19 {ENVIRONMENT}\n"
    dice.stop()

"""No ssh to the nodes, and no network between login host and nodes but the scheduler's own."""

from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import laptop, site

NODES = ("s1",)


@pytest.fixture(scope="module")
def sealed() -> Iterator[site.Site]:
    with site.up(
        sites.SEALED, jupyter_environment_kind="existing", jupyter_environment_path=laptop.JUPYTER
    ) as running:
        yield running


@pytest.mark.rows("F29", "F30", "F31")
def test_by_a_step_of_the_job(sealed: site.Site) -> None:
    session = sealed.launch()
    session.check(route="step", nodes=NODES)
    sealed.stop()
    sealed.check_auto(route="step", nodes=NODES, fails=["node"])

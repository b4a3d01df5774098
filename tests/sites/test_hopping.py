"""Guide 004: a proxy server in front, Slurm; nodes reach the login host, and nothing reaches the nodes."""

from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import site

NODES = ("n1", "n2")


@pytest.fixture(scope="module")
def hopping() -> Iterator[site.Site]:
    with site.up(sites.HOPPING) as running:
        yield running


@pytest.mark.rows("F29", "T22")
def test_by_the_way_back_from_the_node(hopping: site.Site) -> None:
    session = hopping.launch()
    session.check(route="reverse", nodes=NODES)
    hopping.stop()
    hopping.check_auto(route="reverse", nodes=NODES, fails=["node", "step", "lan"])

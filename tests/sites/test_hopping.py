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


def end_by_hand(hopping: site.Site, session: site.Session) -> None:
    """The job ends without us; what its way back has left on the login host is told, and removed by ``clean``."""
    person = hopping.person
    person.cli("disconnect", person.account)
    person.login.run(["scancel", session.told["job_id"]], user=person.user)
    site.until_gone(hopping.lab, session.node, person.user)
    told = person.cli("status", person.account).stdout
    assert "the way back to a session that has ended" in told, told
    assert hopping.left() != []
    assert person.cli("clean", person.account, "--yes").stdout.count("Removed ") == 2
    assert hopping.left() == []
    assert person.cli("clean", person.account, "--yes").stdout == "Nothing to do\n"


@pytest.mark.rows("F29", "T22")
def test_by_the_way_back_from_the_node(hopping: site.Site) -> None:
    session = hopping.launch()
    session.check(route="reverse", nodes=NODES)
    end_by_hand(hopping, session)
    hopping.check_auto(route="reverse", nodes=NODES, fails=["node", "step", "lan"])

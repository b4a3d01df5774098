"""Guide 000: Slurm, several login hosts behind one name, which reach the nodes' ports; a JupyterHub exists."""

from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import laptop, site

NODES = ("nid00131", "nid00132")
HUB = "https://jupyter.example.org/"


@pytest.fixture(scope="module")
def cori() -> Iterator[site.Site]:
    with site.up(sites.CORI, hpc_jupyterhub_url=HUB) as running:
        yield running


@pytest.mark.rows("F39")
def test_by_a_port_of_the_node_through_the_same_login_host(cori: site.Site) -> None:
    refused = laptop.failed(cori.person.cli("launch", cori.person.account, check=False))
    assert f"cori has a JupyterHub, which is the better way: {HUB}\n" in refused
    session = cori.launch("--anyway", "--qos", "interactive")
    session.check(route="lan", nodes=NODES)
    assert session.told["login_host"] == "cori03"
    _the_name_answers_differently(cori, session)
    _jupyter_anew_in_the_same_job(cori, session)
    cori.stop()
    cori.variables["jupyter_session_anyway"] = True
    cori.check_auto(route="lan", nodes=NODES, fails=["node", "step"])


def _the_name_answers_differently(cori: site.Site, before: site.Session) -> None:
    """The login host of the session is reached by an inner hop through another one."""
    cori.person.cli("disconnect", cori.person.account)
    cori.log_out()
    site.until_gone(cori.lab, "cori03", "alice")
    cori.lab.resolve("cori.example.org", ["cori06", "cori03"])
    again = cori.launch(verb="connect")
    again.check(route="lan", nodes=[before.told["node"]])
    assert again.told["job_id"] == before.told["job_id"]
    assert cori.lab.host("cori06").processes(user="alice")
    assert cori.lab.host("cori03").processes(user="alice")
    cori.lab.mend()


def _jupyter_anew_in_the_same_job(cori: site.Site, before: site.Session) -> None:
    old = cori.person.record()
    cori.person.cli("restart", cori.person.account)
    new = cori.person.record()
    same = ("job_id", "generation", "base_url", "node")
    assert [new[key] for key in same] == [old[key] for key in same]
    again = cori.launch(verb="connect")
    assert again.cell(site.WHERE) == f"{before.told['node']}\n"

"""Nodes on which every job has a /tmp of its own, as Slurm's job_container/tmpfs makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hpclab import topologies
from tests import laptop, site

SETTINGS = {"JobContainerType": "job_container/tmpfs", "PrologFlags": "Contain"}
CONTAINER = topologies.File(
    path="/etc/slurm/job_container.conf", text="AutoBasePath=true\nBasePath=/var/spool/private\n"
)


def _topology() -> topologies.Topology:
    [cluster] = topologies.SLURM.clusters
    assert isinstance(cluster.scheduler, topologies.Slurm)
    scheduler = replace(cluster.scheduler, settings=SETTINGS)
    hosts = tuple(replace(host, files=(*host.files, CONTAINER)) for host in topologies.SLURM.hosts)
    return replace(topologies.SLURM, name="private", hosts=hosts, clusters=(replace(cluster, scheduler=scheduler),))


@pytest.fixture(scope="module")
def private() -> Iterator[site.Site]:
    variables = {"jupyter_environment_kind": "existing", "jupyter_environment_path": laptop.JUPYTER}
    with site.up(_topology(), example=False, **variables) as running:
        yield running


@pytest.mark.rows("F44")
def test_a_socket_that_only_the_job_sees_is_reached_by_a_step(private: site.Site) -> None:
    session = private.launch()
    assert not private.lab.host(session.node).exists(private.person.record()["socket"])
    assert (session.told["state"], session.told["route"]) == ("ready", "step"), session.explained
    assert session.cell(site.WHERE) == f"{session.node}\n"
    private.person.cli("stop", private.person.account)
    assert private.left() == []

"""The way to a session: pure, so a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter.errors import NoForward
from hpc_jupyter.route import choose, plan

CLUSTER = Cluster(name="lab", account="alice@lab", user="alice", login_hosts=("login",), scheduler="slurm")
LOCAL = Cluster(name="local", account="local", user="", local=True, route="local")
RECORD = Record(
    session="default", cluster="lab", account="alice@lab", scheduler="slurm", state="ready", node="c2",
    socket="/tmp/hpcj-x/s", base_url="/0123456789abcdef/",
)  # fmt: skip
ON_THIS_MACHINE = replace(RECORD, cluster="local", account="local", socket="", port=44444)


def test_a_node_is_reached_by_an_ssh_of_our_own() -> None:
    route = plan(RECORD, CLUSTER, config="/state/ssh_config", port=20123)
    assert route.argv == (
        "ssh", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ControlPath=none",
        "-o", "GatewayPorts=no", "-o", "ExitOnForwardFailure=no", "-o", "StdinNull=yes",
        "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo hpc-jupyter-forward-listens",
        "-F", "/state/ssh_config", "-N", "-o", "ExitOnForwardFailure=yes",
        "-L", "127.0.0.1:20123:/tmp/hpcj-x/s", "--", "c2",
    )  # fmt: skip
    assert (route.name, route.url) == ("node", "http://127.0.0.1:20123/0123456789abcdef/")


def test_this_machine_needs_no_ssh() -> None:
    route = plan(ON_THIS_MACHINE, LOCAL, config="", port=0)
    assert (route.name, route.argv, route.url) == ("local", (), "http://127.0.0.1:44444/0123456789abcdef/")


@pytest.mark.parametrize(
    ("cluster", "name"),
    [(CLUSTER, "node"), (replace(CLUSTER, route="node"), "node"), (LOCAL, "local")],
)
def test_the_route_follows_the_clusters_facts(cluster: Cluster, name: str) -> None:
    assert choose(cluster) == name


@pytest.mark.parametrize(
    ("cluster", "record", "changes"),
    [
        (CLUSTER, RECORD, {"socket": ""}),
        (CLUSTER, RECORD, {"socket": "relative/s"}),
        (CLUSTER, RECORD, {"socket": "/tmp/a:127.0.0.1:22"}),
        (CLUSTER, RECORD, {"socket": "/tmp/../etc/s"}),
        (CLUSTER, RECORD, {"socket": "/" + "a" * 107}),
        (CLUSTER, RECORD, {"node": ""}),
        (CLUSTER, RECORD, {"node": "-oProxyCommand=x"}),
        (CLUSTER, RECORD, {"node": "c2;id"}),
        (CLUSTER, RECORD, {"base_url": ""}),
        (CLUSTER, RECORD, {"base_url": "//evil.example/"}),
        (CLUSTER, RECORD, {"base_url": "/a/../b/"}),
        (CLUSTER, RECORD, {"base_url": "/a\r\nHost: x/"}),
        (LOCAL, ON_THIS_MACHINE, {"port": 0}),
        (LOCAL, ON_THIS_MACHINE, {"port": -1}),
    ],
)
def test_a_record_that_cannot_be_right_is_refused(cluster: Cluster, record: Record, changes: dict[str, Any]) -> None:
    wrong = replace(record, **changes)
    [(field, value)] = changes.items()
    with pytest.raises(NoForward) as told:
        plan(wrong, cluster, config="/c", port=20123)
    assert str(told.value) == (
        f"the record of session default of {wrong.account} has {field} {str(value)!r}, which cannot be right. "
        f"Stop it and launch it again: hpc-jupyter stop {wrong.account}"
    )

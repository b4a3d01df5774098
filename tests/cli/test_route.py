"""The way to a session: pure, so a table."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter.errors import NoForward
from hpc_jupyter.route import candidates, plan

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


SHA = "ab" * 32
LAN = replace(RECORD, offer="lan", address="10.0.0.2", port=4000, login_host="login2", tls_sha256=SHA)
REVERSE = replace(RECORD, offer="reverse", login_host="login2", login_socket="/run/user/7/x/s")
SHARED = replace(RECORD, scheduler="none", node="login2", login_host="login2")
NO_QUEUE = replace(CLUSTER, scheduler="none")
START = "http://127.0.0.1:20123/0123456789abcdef/"


@pytest.mark.parametrize(
    ("cluster", "record", "host", "name", "rides"),
    [
        (CLUSTER, LAN, "login2", "lan", "127.0.0.1:20123:10.0.0.2:4000"),
        (CLUSTER, replace(LAN, address="fd00::2"), "", "lan", "127.0.0.1:20123:[fd00::2]:4000"),
        (CLUSTER, REVERSE, "login2", "reverse", "127.0.0.1:20123:/run/user/7/x/s"),
        (CLUSTER, replace(REVERSE, login_socket="", login_port=5000), "", "reverse", "127.0.0.1:20123:127.0.0.1:5000"),
        (NO_QUEUE, SHARED, "login2", "node", "127.0.0.1:20123:/tmp/hpcj-x/s"),
        (NO_QUEUE, replace(LAN, scheduler="none"), "login2", "lan", "127.0.0.1:20123:10.0.0.2:4000"),
    ],
)
def test_what_ends_on_the_login_host_rides_on_its_master(
    cluster: Cluster, record: Record, host: str, name: str, rides: str
) -> None:
    route = plan(record, cluster, config="/c", port=20123, host=host)
    assert (route.name, route.rides, route.argv) == (name, (rides,), ())
    assert route.command == f"ssh -F /c -N -o ExitOnForwardFailure=yes -S none -L {shlex.quote(rides)} lab"
    assert route.url == (START.replace("http", "https") if record.tls_sha256 else START)


@pytest.mark.parametrize("record", [LAN, REVERSE, SHARED])
def test_another_login_host_than_the_recorded_one_is_gone_through(record: Record) -> None:
    route = plan(record, CLUSTER, config="/c", port=20123, host="login1")
    assert (route.rides, route.argv[-2:]) == ((), ("--", "login2"))


def test_a_step_has_a_name_of_its_own() -> None:
    route = plan(RECORD, replace(CLUSTER, route="step"), config="/c", port=20123)
    assert (route.name, route.rides, route.argv[-1]) == ("step", (), "lab-step-default")


def test_further_ports_are_forwarded_by_the_same_ssh() -> None:
    route = plan(RECORD, CLUSTER, config="/c", port=20123, ports=[(8787, 8787), (9000, 6006)])
    assert route.argv[-7:] == (
        "-L", "127.0.0.1:20123:/tmp/hpcj-x/s", "-L", "127.0.0.1:8787:127.0.0.1:8787",
        "-L", "127.0.0.1:9000:127.0.0.1:6006", "--", "c2",
    )[-7:]  # fmt: skip
    shared = plan(SHARED, NO_QUEUE, config="/c", port=20123, host="login2", ports=[(8787, 8787)])
    assert shared.rides == ("127.0.0.1:20123:/tmp/hpcj-x/s", "127.0.0.1:8787:127.0.0.1:8787")


ALL = ["node", "step", "lan", "reverse"]


@pytest.mark.parametrize(
    ("cluster", "record", "remembered", "names"),
    [
        (CLUSTER, RECORD, "", ALL),
        (CLUSTER, RECORD, "lan", ["lan", "node", "step", "reverse"]),
        (CLUSTER, LAN, "node", ["lan", "node", "step", "reverse"]),
        (CLUSTER, RECORD, "local", ALL),
        (NO_QUEUE, SHARED, "", ["node", "lan"]),
        (NO_QUEUE, SHARED, "step", ["node", "lan"]),
        (replace(CLUSTER, route="lan"), RECORD, "node", ["lan"]),
    ],
)
def test_routes_are_tried_in_order(cluster: Cluster, record: Record, remembered: str, names: list[str]) -> None:
    assert candidates(record, cluster, remembered=remembered) == names


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
        *[pytest.param(CLUSTER, RECORD, {"node": name}, marks=pytest.mark.rows("B60"))
          for name in ("localhost", "LocalHost.localdomain", "127.0.0.1", "ip6-localhost")],
        (CLUSTER, RECORD, {"node": "c2;id"}),
        *[pytest.param(CLUSTER, RECORD, {"base_url": url}, marks=pytest.mark.rows("B64"))
          for url in ("", "x", "//evil.example/", "//x", "..", "/../", "/a/../b/", "/a")],
        (CLUSTER, RECORD, {"base_url": "/a\r\nHost: x/"}),
        (CLUSTER, LAN, {"address": "10.0.0.2:22"}),
        (CLUSTER, LAN, {"address": "node.evil"}),
        (CLUSTER, LAN, {"login_host": "-oProxyCommand=x"}),
        (CLUSTER, LAN, {"tls_sha256": "xyz"}),
        (CLUSTER, REVERSE, {"login_socket": "/a b"}),
        (CLUSTER, REVERSE, {"login_port": 123456}),
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

"""Further ports of the node: what may be asked for, and which local ports they get."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter import hold
from hpc_jupyter.errors import NoForward
from hpc_jupyter.forward import PortTaken
from hpc_jupyter.ports import Wanted, check_ports, check_wanted, chosen_ports, parse_forward
from tests.cli.conftest import World, free_port

LAB = Cluster(name="lab", account="alice@lab", user="alice", login_hosts=("login",), scheduler="slurm")
HERE = Cluster(name="local", account="local", user="", local=True, route="local")
RECORD = Record("default", "lab", "alice@lab", "slurm")
HINT = "Write for example --forward 8787 or 9000:8787; LOCAL is 1024 to 65535, PORT 1 to 65535"
ALONE = "leads to Jupyter alone, not to further ports of the node; routes node and step can"


@pytest.mark.parametrize(("text", "pair"), [("8787", (0, 8787)), ("9000:8787", (9000, 8787)), ("80", (0, 80))])
def test_what_may_be_asked_for(text: str, pair: tuple[int, int]) -> None:
    assert parse_forward(text) == pair


@pytest.mark.parametrize("text", ["", "x", "0", "70000", "70000:1", "80:80", "1:2:3", "-1", "8787:", ":8787", "8787 "])
def test_what_may_not_be_asked_for(text: str) -> None:
    with pytest.raises(BadInput) as told:
        parse_forward(text)
    assert str(told.value) == f"--forward: {text!r} is not PORT or LOCAL:PORT. {HINT}"


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (HERE, "--forward: local is this machine: open 127.0.0.1:8787 itself"),
        (replace(LAB, route="lan"), f"--forward: route lan {ALONE}"),
        (replace(LAB, route="reverse"), f"--forward: route reverse {ALONE}"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_contacted(cluster: Cluster, message: str) -> None:
    with pytest.raises(BadInput) as told:
        check_wanted(cluster, [(0, 8787)])
    assert str(told.value) == message


def test_what_can_be_is_not_refused() -> None:
    for cluster in (LAB, replace(LAB, route="step"), replace(LAB, route="lan", scheduler="none")):
        check_wanted(cluster, [(0, 8787)])
    check_wanted(HERE, [])


def test_a_route_to_jupyter_alone_is_not_taken_for_more() -> None:
    check_ports("step", RECORD, Wanted(0, ((0, 8787),)))
    check_ports("lan", replace(RECORD, scheduler="none"), Wanted(0, ((0, 8787),)))
    check_ports("lan", RECORD, Wanted())
    with pytest.raises(NoForward, match=f"route lan {ALONE}"):
        check_ports("lan", RECORD, Wanted(0, ((0, 8787),)))


def test_a_port_has_its_own_number_here_if_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        [(here, there)] = chosen_ports([(0, taken)], taken=1)
        assert (here > taken, there) == (True, taken)
        with pytest.raises(PortTaken) as told:
            chosen_ports([(taken, 8787)], taken=1)
    assert str(told.value) == (
        f"port {taken} of this machine is taken by another program. Choose one with --forward LOCAL:8787"
    )
    free = free_port()
    assert chosen_ports([(0, free)], taken=1) == ((free, free),)
    assert chosen_ports([(0, free)], taken=free) != ((free, free),)


def test_a_held_connection_has_what_is_wanted_or_not() -> None:
    assert Wanted(0, ((0, 8787),)).has([(9000, 8787)])
    assert Wanted(0, ((9000, 8787),)).has([(9000, 8787)])
    assert not Wanted(0, ((9001, 8787),)).has([(9000, 8787)])
    assert not Wanted(0, ((0, 8787),)).has([])


def test_a_nodes_further_port_is_reached(world: World) -> None:
    here = free_port()
    with socket.create_server(("127.0.0.1", 0)) as dask:
        there = dask.getsockname()[1]
        connector = world.connector
        connector.access.log_in(connector.progress, interactive=False)
        link = connector.connect(connector.attach(), ports=[(here, there)])
        try:
            with socket.create_connection(("127.0.0.1", here), timeout=5):
                dask.settimeout(5)
                dask.accept()[0].close()
            assert connector.store.read("default").ports == ((here, there),)
        finally:
            hold.close(link)

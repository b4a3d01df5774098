"""Accounts on this machine: the token is shown to this user's own session, on this very machine, to nobody else."""

from __future__ import annotations

import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter import listener
from hpc_jupyter.access import Access
from hpc_jupyter.connection import Connector
from hpc_jupyter.errors import NoForward
from hpc_jupyter.progress import Plain
from hpc_jupyter.results import Hints
from tests.cli.conftest import BASE_URL, TOKEN, SessionServer, World, _Handler

HERE = socket.gethostname().partition(".")[0]
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENER = """\
import os, socket
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
print(server.accept()[0].recv(4096))
"""


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    accepts = True
    notice = b""
    stumbles = 0
    tokens: list[str]


def local(world: World, *, port: int, node: str = HERE) -> Connector:
    """What connects to a session of this machine that its record says to be on ``port`` of ``node``."""
    world.tell(node=node, port=port, socket="", account="local")
    cluster = Cluster(name="local", account="local", user="", local=True, route="local", root=world.cluster.root)
    return Connector(Access.to(cluster), "default", Plain(world.said), Hints((), "local"))


@contextmanager
def serving() -> Iterator[tuple[int, list[str]]]:
    """The port of a session of ours, and what it was shown."""
    with _TcpServer(("127.0.0.1", 0), _Handler) as server:
        server.tokens = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], server.tokens
        server.shutdown()


def test_a_session_of_ours_is_reached(world: World) -> None:
    with serving() as (port, tokens):
        connector = local(world, port=port, node=f"{HERE.upper()}.example.org")
        assert connector.connect(connector.attach()).url == f"http://127.0.0.1:{port}{BASE_URL}lab?token={TOKEN}"
        assert tokens == [f"token {TOKEN}"]


def test_a_session_of_another_machine_with_the_same_home_is_not_asked(world: World) -> None:
    with serving() as (port, tokens):
        connector = local(world, port=port, node="elsewhere.example.org")
        with pytest.raises(NoForward) as told:
            connector.connect(connector.attach())
        assert tokens == []
    assert str(told.value) == (
        f"local: session default runs on elsewhere.example.org, and this machine is {HERE.lower()}. "
        "Connect there, or end it: hpc-jupyter stop local"
    )


@pytest.mark.rows("T5")
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs a second user on Linux")
def test_another_users_listener_is_not_shown_the_token(world: World) -> None:
    argv = [sys.executable, "-I", "-c", LISTENER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd="/") as stranger:
        assert stranger.stdout
        port = int(stranger.stdout.readline())
        connector = local(world, port=port)
        with pytest.raises(NoForward) as told:
            connector.connect(connector.attach())
        stranger.terminate()
        assert stranger.stdout.read() == ""
    assert str(told.value) == (
        f"local: nothing of yours listens on 127.0.0.1:{port}, so the session's token was not sent there. "
        "See: hpc-jupyter logs local"
    )


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is written as the machine writes numbers")
@pytest.mark.parametrize(
    ("row", "owners"),
    [
        ("0: 0100007F:22B8 00000000:0000 0A 0:0 0:0 0 1000 0 9", {1000}),
        ("0: 00000000:22B8 00000000:0000 0A 0:0 0:0 0 1000 0 9", set()),
        ("0: 0100007F:22B9 00000000:0000 0A 0:0 0:0 0 1000 0 9", set()),
        ("0: 0100007F:22B8 0100007F:D431 01 0:0 0:0 0 1000 0 9", set()),
        ("", set()),
    ],
)
def test_who_listens_is_read_from_the_kernels_table(row: str, owners: set[int]) -> None:
    assert listener.owners(HEAD + row + "\n", port=8888) == owners


def test_a_listener_of_ours_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listener.is_ours(server.getsockname()[1])


def test_types_of_the_two_servers_agree() -> None:
    assert {name for name in vars(SessionServer) if not name.startswith("_")} <= set(dir(_TcpServer))

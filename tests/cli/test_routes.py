"""Routes that end on the login host, and the choice between routes; over a real sshd and real TLS."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import shlex
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import step
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import master_pid
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import identify, this_process
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hpc_jupyter import explained, forward, hold
from hpc_jupyter.certificate import colons
from hpc_jupyter.commands import connect as present
from hpc_jupyter.connection import Tried
from hpc_jupyter.context import Context
from hpc_jupyter.errors import NoForward
from hpc_jupyter.options import Connection
from hpc_jupyter.state import Held
from tests.cli.conftest import TOKEN, World, _Handler, connect, free_port, mend


class TlsServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """What a session answers on a port of its node, over TLS; ``tokens`` are those it was shown."""

    daemon_threads = True
    accepts = True
    stumbles = 0
    notice = b""

    def __init__(self, certificate: Path) -> None:
        self.tokens: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificate)
        self.socket = self.context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def show(self, certificate: Path) -> None:
        """Have this one from now on."""
        self.context.load_cert_chain(certificate)
        self.sha256 = hashlib.sha256(ssl.PEM_cert_to_DER_cert(_certificate(certificate))).hexdigest()


def _certificate(path: Path) -> str:
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


def make_certificate(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jupyter")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    made = x509.CertificateBuilder(
        issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=7,
        not_valid_before=now - day, not_valid_after=now + day,
    ).sign(key, hashes.SHA256())  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))


@contextlib.contextmanager
def serving(certificate: Path) -> Iterator[TlsServer]:
    """A session's server on a TCP port, with the key and certificate of one file."""
    server = TlsServer(certificate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsServer]:
    """A session's server with a certificate of its own."""
    make_certificate(tmp_path / "server.pem")
    with serving(tmp_path / "server.pem") as server:
        yield server


@pytest.fixture
def lan(world: World, tls: TlsServer) -> World:
    """A session that is offered on its node's address, from login host ``login2``."""
    world.cluster = replace(world.cluster, route="lan")
    world.tell(
        offer="lan", address="127.0.0.1", port=tls.server_address[1], login_host="login2", socket="",
        tls_sha256=tls.sha256,
    )  # fmt: skip
    return world


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_forward_to_the_login_host_rides_on_the_one_login(lan: World) -> None:
    link = connect(lan)
    assert (link.route.name, link.why) == ("lan", "hpc_route says so")
    assert link.url.startswith("https://127.0.0.1:")
    assert forward.ask(link.route.url, TOKEN, sha256=link.route.sha256).ok
    held = lan.connector.store.read("default")
    assert (held.is_up, held.holder, held.rides) == (True, this_process(), link.route.rides)
    assert (held.route, held.tried, held.why) == ("lan", (("lan", ""),), "hpc_route says so")
    hold.close(link)
    assert not listens(link.route.port)
    assert ssh.master_alive(lan.access.files)
    assert lan.logins == 1


@pytest.mark.rows("T5")
@pytest.mark.rows("T5")
def test_another_certificate_is_shown_no_token(lan: World, tls: TlsServer) -> None:
    lan.tell(tls_sha256="0" * 64)
    with pytest.raises(NoForward) as told:
        connect(lan)
    url = next(word for word in str(told.value).split() if word.startswith("https:"))
    assert str(told.value) == (
        f"the forward is up, but what answers at {url} shows another certificate than the session's "
        f"(SHA-256 {'0' * 64}); the token was not sent"
    )
    assert tls.tokens == []
    assert lan.connector.store.read("default").rides == ()


@pytest.mark.rows("T5")
def test_what_to_compare_at_the_browsers_warning_is_said(lan: World, capsys: pytest.CaptureFixture[str]) -> None:
    link = connect(lan)
    present._open(Context(), lan.connector, link, Connection(browser=False))
    assert f"go on only if its SHA-256 is\n    {colons(link.route.sha256)}\n" in capsys.readouterr().out


@pytest.mark.rows("T5")
def test_a_server_without_its_certificate_is_shown_no_token(lan: World, world: World) -> None:
    lan.tell(tls_sha256="", address="127.0.0.1")
    answer = forward.ask("https://127.0.0.1:1/x/", TOKEN)
    assert (answer.ok, answer.final) == (False, True)
    assert answer.reason == "no certificate is known of https://127.0.0.1:1/x/, so the token was not sent"


def test_a_port_that_nobody_answers_on_leaves_no_listener(lan: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward.Riding, "patience", 0.5)
    lan.tell(port=(closed := free_port()))
    with pytest.raises(NoForward) as told:
        connect(lan, port=(port := free_port()))
    assert str(told.value).startswith(
        f"the login host does not get through to 127.0.0.1:{closed}: nothing answers at https://127.0.0.1:{port}/"
    )
    assert not listens(port)


def test_a_port_that_is_taken_is_left_for_the_next_one_when_riding(lan: World) -> None:
    connector = lan.connector
    connector.access.log_in(connector.progress, interactive=False)
    attached = connector.attach()
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        route = connector.route(attached, squatter.getsockname()[1], name="lan")
        with pytest.raises(forward.PortTaken):
            forward.proven(forward.begin(route, master=connector.access.files.control), token=TOKEN)
        squatter.setblocking(False)
        with pytest.raises(BlockingIOError):
            squatter.accept()


@pytest.mark.rows("F26", "F27")
def test_what_a_killed_holder_left_on_the_master_is_taken_away(lan: World) -> None:
    link = connect(lan)
    store = lan.connector.store
    store.write("default", replace(store.read("default"), holder=identify(0)))
    assert store.end("default")
    assert not listens(link.route.port)
    assert store.read("default").rides == ()
    assert not store.end("default")


def test_a_riding_connection_is_mended_when_its_master_has_gone(lan: World) -> None:
    link = connect(lan)
    os.kill(master_pid(lan.access.files.control), signal.SIGKILL)
    assert link.forward is not None
    assert not link.forward.wait(5)
    mended = mend(lan.connector, link, lambda _text: None)
    try:
        assert mended.route.port == link.route.port
        assert forward.ask(mended.route.url, TOKEN, sha256=mended.route.sha256).ok
    finally:
        hold.close(mended)


@pytest.mark.rows("T5")
def test_a_session_that_was_restarted_with_another_certificate_is_found_again(
    lan: World, tls: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PROBE_SECONDS", "_TICK_SECONDS"):
        monkeypatch.setattr(hold, name, 0.1)
    holder = hold.Holder(lan.connector, connect(lan), lambda _text: None)
    before = holder.link.route
    make_certificate(tmp_path / "renewed.pem")
    tls.show(tmp_path / "renewed.pem")
    lan.tell(tls_sha256=tls.sha256)
    outage = holder._until_lost()
    assert not holder._answers_again(outage)
    holder.mend(outage)
    try:
        assert holder.link.route == replace(before, sha256=tls.sha256)
        assert before.sha256 != tls.sha256
        assert forward.ask(holder.link.route.url, TOKEN, sha256=tls.sha256).ok
    finally:
        hold.close(holder.link)


def test_without_a_scheduler_the_socket_is_on_the_login_host(world: World) -> None:
    world.cluster = replace(world.cluster, scheduler="none")
    world.tell(scheduler="none", login_host="node1", offer="socket")
    port, here = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as dask:
        connector = world.connector
        connector.access.log_in(connector.progress, interactive=False)
        link = connector.connect(connector.attach(), port=port, ports=[(here, dask.getsockname()[1])])
        try:
            assert (link.route.name, link.route.port) == ("node", port)
            assert listens(here)
            assert world.logins == 1
        finally:
            hold.close(link)
    assert not listens(here)


STEP = """\
#!/bin/sh
printf '%s\\n' "$1" > {home}/step_keys
exec /usr/sbin/sshd -i -e -f {home}/step_config
"""


def test_a_step_is_reached_through_an_sshd_of_ones_own(world: World) -> None:
    key = world.home / "step_host"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
    told = step.config(host_key=str(key), keys=f"{world.home}/step_keys", socket=world.record.socket, permit=[])
    (world.home / "step_config").write_text(told)
    program = world.home / "root/step"
    program.write_text(STEP.format(home=world.home))
    program.chmod(0o755)
    world.cluster = replace(world.cluster, route="step")
    world.tell(step_host_key=" ".join(Path(f"{key}.pub").read_text().split()[:2]))
    link = connect(world)
    assert (link.route.name, world.logins, forward.ask(link.route.url, TOKEN).ok) == ("step", 1, True)
    hold.close(link)
    world.tell(step_host_key=world.record.host_keys[0])
    with pytest.raises(NoForward) as refused:
        connect(world)
    assert "has changed" in str(refused.value)
    assert "It is not the one in the session's record" in str(refused.value)


def _close_nodes(world: World) -> None:
    """No ssh to nodes: somebody else's port."""
    own = world.home / "own_config"
    own.write_text(own.read_text().replace(f"Port {world.port}", f"Port {free_port()}"))


@pytest.mark.rows("F28")
def test_auto_goes_on_to_the_next_route_and_remembers_it(world: World, tls: TlsServer) -> None:
    _close_nodes(world)
    world.cluster = replace(world.cluster, route="auto")
    world.would_offer(
        "lan", address="127.0.0.1", port=tls.server_address[1], login_host="login2", socket="", tls_sha256=tls.sha256
    )
    link = connect(world)
    hold.close(link)
    assert (link.route.name, link.why) == ("lan", "it is the first that works")
    assert [(item.name, bool(item.problem)) for item in link.tried] == [
        ("node", True), ("step", True), ("lan", False), ("reverse", True)
    ]  # fmt: skip
    assert link.tried[3].problem == "not tried, as lan works"
    assert world.offers == ["lan"]
    joined = world.connector.held_link(link.attached, Held(port=1, route="lan", tried=(("node", "x"),), why="y"))
    assert [*joined.tried, joined.why] == [Tried("node", "x"), "y"]
    world.tell()
    again = connect(world)
    hold.close(again)
    assert (again.route.name, again.why) == ("lan", "it worked last time")
    assert again.tried[0].name == "lan"
    assert world.offers == ["lan", "lan"]


def test_auto_says_of_every_route_why_it_does_not_work(world: World) -> None:
    _close_nodes(world)
    world.cluster = replace(world.cluster, route="auto")
    with pytest.raises(NoForward) as told:
        connect(world)
    text = str(told.value)
    assert text.startswith("me@lab: no route works. node: node node1 cannot be reached from 127.0.0.1: ")
    assert "; step: the session's record has no host key for route step; " in text
    assert "; lan: session default did not change how it is offered; reverse: session default did not" in text


def test_explain_shows_each_route_and_commands_that_work(lan: World, world: World) -> None:
    link = connect(lan)
    told = explained.lines(link, lan.access)
    config = lan.access.files.config
    try:
        assert told[:3] == [
            "The way: this machine → login host 127.0.0.1 (login2) → node node1",
            "Route lan: works; taken because hpc_route says so",
            f"Log in by hand:  ssh -F {config} lab",
        ]
        command, page = told[3].partition(": ")[2], told[4].partition(":       ")[2]
        port = urlsplit(page).port
        show = f"{lan.access.command} url --session default --port {port}"
        assert told[5] == f"Its token:       ssh -F {config} lab {show}"
        assert told[6] == f"Its certificate's SHA-256: {link.route.sha256}"
        assert _answers_by_hand(command, page, sha256=link.route.sha256)
    finally:
        hold.close(link)


def test_explain_of_a_node_is_a_command_of_its_own(world: World) -> None:
    link = connect(world)
    told = explained.lines(link, world.access)
    try:
        assert told[0] == "The way: this machine → login host 127.0.0.1 → node node1"
        assert _answers_by_hand(told[3].partition(": ")[2], told[4].partition(":       ")[2], sha256="")
    finally:
        hold.close(link)


def _answers_by_hand(command: str, page: str, *, sha256: str) -> bool:
    with subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL) as pasted:
        url = page.removesuffix("lab")
        deadline = time.monotonic() + 20
        while not (ok := forward.ask(url, TOKEN, sha256=sha256).ok) and time.monotonic() < deadline:
            time.sleep(0.1)
        pasted.terminate()
    return ok

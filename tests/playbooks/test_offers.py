"""How a running session is offered, with a real JupyterLab: by TLS, another way on request, and anew."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children, connection, probe, record

from tests.session_site import NONCE, Site

_NODE, _LOGIN = "192.0.2.9", "192.0.2.1"
_OWN_NETWORK = [
    "unshare", "--user", "--map-root-user", "--net", "sh", "-c",
    f'ip link set lo up && ip address add {_NODE}/24 dev lo && exec "$@"', "sh",
    "unshare", "--user", "--map-user=1000", "--map-group=1000",
]
"""A node whose one address is known, whatever machine this is; the kernel's namespaces are real ones."""
_IN_USE = (
    "session default is in use: to offer it another way would restart Jupyter and end its kernels. Shut them down and "
    "close the page first, or stop the session and launch it again"
)


@pytest.fixture(name="site")
def _site(tmp_path: Path, python: Path) -> Iterator[Site]:
    made = Site(tmp_path, python)
    yield made
    made.close()


def _from_login(site: Site, record_now: record.Record) -> None:
    record.write(site.files(record_now.session).record, replace(record_now, login_host=_LOGIN))


def _in_network_of(pid: int, script: str, *arguments: str) -> str:
    """What a Python script prints that runs in the network of the node ``pid`` is on."""
    argv = ["nsenter", f"--net=/proc/{pid}/ns/net", "python3", "-c", script, *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout


_CERTIFICATE = """
import hashlib, socket, ssl, sys
context = ssl._create_unverified_context()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as plain:
    with context.wrap_socket(plain) as secure:
        print(hashlib.sha256(secure.getpeercert(binary_form=True)).hexdigest())
"""
_PLAIN = """
import http.client, sys
asked = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=10)
asked.request("GET", "/")
try:
    print(asked.getresponse().status)
except (OSError, http.client.HTTPException) as error:
    print(type(error).__name__)
"""


def _listeners(pid: int) -> set[str]:
    """The addresses that somebody listens on, in the network of the node that ``pid`` is on."""
    tables = [Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {_address(row[1]) for row in rows if row[3] == "0A"}


def _address(text: str) -> str:
    host, port = text.split(":")
    return f"{socket.inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else host}:{int(port, 16)}"


def _new_kernel(site: Site) -> None:
    target = site.target()
    asked = connection.Connection(target, timeout=20)
    asked.request("POST", f"{target.base_url}api/kernels", "{}", {"Authorization": f"token {site.token()}"})
    assert asked.getresponse().status == 201
    asked.close()


@pytest.mark.rows("T5")
def test_lan_is_one_address_that_speaks_tls_alone(site: Site) -> None:
    pin = site.certificate()
    _from_login(site, site.intend(offer="lan"))
    job = site.job(prefix=_OWN_NETWORK)
    now = site.ready()
    assert (now.offer, now.address, now.socket, now.tls_sha256) == ("lan", _NODE, "", pin)
    assert _listeners(now.pid) == {f"{_NODE}:{now.port}"}
    assert _in_network_of(now.pid, _CERTIFICATE, _NODE, str(now.port)).strip() == pin
    assert _in_network_of(now.pid, _PLAIN, _NODE, str(now.port)).strip() != "200"
    assert site.command("where", "--nonce", NONCE).returncode == 0
    job.terminate()
    assert site.ended(job) == 0
    assert (site.record().address, site.record().port, site.record().tls_sha256) == ("", 0, "")


def test_an_offer_that_the_node_cannot_make_leaves_a_socket_and_says_why(site: Site) -> None:
    _from_login(site, site.intend(offer="lan"))
    site.job(prefix=_OWN_NETWORK)
    now = site.ready()
    assert now.offer == "socket"
    assert now.reason.startswith(f"no certificate to speak https with: {site.layout.server}/cert.pem: No such file")
    assert probe.get(site.target(), "api/status", token=site.token()).status == 200


@pytest.mark.rows("T5")
def test_tls_always_is_on_the_socket_too_and_a_running_server_keeps_its_certificate(site: Site) -> None:
    pin = site.certificate()
    site.intend(tls="always")
    site.job()
    now = site.ready()
    assert (now.offer, now.tls_sha256) == ("socket", pin)
    assert probe.get(site.target(), "api/status", token=site.token()).status == 200
    with pytest.raises(probe.OtherCertificate):
        probe.get(replace(site.target(), tls_sha256="0" * 64), "api/status")
    with pytest.raises((OSError, http.client.HTTPException)):
        probe.get(replace(site.target(), tls_sha256=""), "api/status")
    assert site.command("url").stdout.startswith("https://127.0.0.1:8888/")
    renewed = site.certificate()
    assert probe.get(site.target(), "api/status", token=site.token()).status == 200
    assert site.record().tls_sha256 == pin != renewed
    assert site.command("restart").returncode == 0
    assert site.record().tls_sha256 == renewed
    assert probe.get(site.target(), "api/status", token=site.token()).status == 200


def test_a_session_nobody_uses_is_offered_another_way_in_its_job_and_back(site: Site) -> None:
    pin = site.certificate()
    site.intend()
    site.job(prefix=_OWN_NETWORK)
    first = site.ready()
    login = f"203.0.113.7 50000 {_LOGIN} 2222"
    told = site.told(site.command("offer", "--nonce", NONCE, "lan", SSH_CONNECTION=login))
    assert (told["record"]["offer"], told["record"]["address"], told["token"]) == ("lan", _NODE, site.token())
    assert (told["record"]["job_id"], told["record"]["base_url"]) == (first.job_id, first.base_url)
    assert told["record"]["login_host"] == told["host"] == socket.gethostname()
    assert told["record"]["tls_sha256"] == pin
    back = site.told(site.command("offer", "--nonce", NONCE, "socket", SSH_CONNECTION=login))
    assert (back["record"]["socket"], back["record"]["tls_sha256"]) == (first.socket, "")


def test_a_session_in_use_stays_as_it_is(site: Site) -> None:
    site.certificate()
    site.intend()
    site.job(prefix=_OWN_NETWORK)
    first = site.ready()
    _new_kernel(site)
    refused = site.command("offer", "--nonce", NONCE, "lan", SSH_CONNECTION=f"{_LOGIN} 1 {_LOGIN} 22")
    assert (site.told(refused), refused.returncode) == ({"error": _IN_USE, "version": "0.1.0"}, 1)
    assert replace(site.record(), answered="") == first
    assert json.loads(probe.get(site.target(), "api/status", token=site.token()).body)["kernels"] == 1


def test_a_restart_that_cannot_succeed_leaves_jupyter_as_it_was(site: Site) -> None:
    directory = site.home / "work"
    directory.mkdir()
    site.intend(directory=str(directory))
    site.job()
    first, token = site.ready(), site.token()
    directory.rmdir()
    answer = site.command("restart")
    assert answer.returncode == 1
    assert answer.stderr == (
        f"hpc-session: directory: {directory} is not a directory on this node. Jupyter was left running as it was\n"
    )
    assert replace(site.record(), answered="") == first
    assert probe.get(site.target(), "api/status", token=token).status == 200


@pytest.mark.parametrize("offer", ["socket", "loopback"])
def test_restart_is_a_new_jupyter_at_the_same_url(site: Site, offer: str) -> None:
    site.intend(offer=offer)
    site.job()
    first, token = site.ready(), site.token()
    jupyter = children.descendants(first.pid)[0]
    _new_kernel(site)
    answer = site.command("restart")
    assert (answer.stdout, answer.stderr) == ("session default has a new Jupyter; its URL is as it was\n", "")
    assert children.descendants(first.pid)[0] != jupyter
    assert replace(site.record(), answered="") == first
    assert json.loads(probe.get(site.target(), "api/status", token=token).body)["kernels"] == 0

"""Route reverse: a real JupyterLab, and the way back from its node over a real sshd of the same user."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import (
    asking,
    authorized_keys,
    changes,
    children,
    probe,
    record,
    reverse_key,
    wishes,
)

from tests.jupyter_env import jupyter_python
from tests.session_site import Site, wait_for

# ssh and sshd want a user whom this machine knows: root's tests are `nobody`, in a user namespace.
_SOMEBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] if os.geteuid() == 0 else []


_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG5vdGhpbmdub3RoaW5nbm90aGluZ25vdGhpbmdu"


@dataclass
class Login:
    """A login host: an sshd that lets in the account's key for the way back alone."""

    place: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Returns once it accepts connections."""
        (self.place / "sshd_config").write_text("\n".join([
            *options, f"ListenAddress 127.0.0.1:{self.port}", f"HostKey {self.place}/host",
            f"AuthorizedKeysFile {self.place}/authorized_keys", "PidFile none", "StrictModes no", "UsePAM no",
            "PasswordAuthentication no", "KbdInteractiveAuthentication no",
        ]) + "\n")
        argv = [*_SOMEBODY, "/usr/sbin/sshd", "-D", "-e", "-f", str(self.place / "sshd_config")]
        with open(self.place / "log", "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log)
        wait_for(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it and what it holds open."""
        if self.process is not None:
            children.send(15, [*children.descendants(self.process.pid), self.process.pid])
            self.process.wait(timeout=10)

    def landing(self) -> wishes.Landing:
        """It as a node is told of it."""
        key = " ".join((self.place / "host.pub").read_text().split()[:2])
        return wishes.Landing("127.0.0.1", self.port, (key,), (), str(self.place))


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, jupyter_python())
    reverse_key.generate(made.layout.reverse_key, comment="here")
    yield made
    made.close()


@pytest.fixture(name="login")
def _login(site: Site) -> Iterator[Login]:
    with tempfile.TemporaryDirectory(prefix="hpcl-") as place:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place}/host"], check=True, timeout=20)
        line = reverse_key.line(reverse_key.public_key(site.layout.reverse_key), cluster="here")
        Path(place, "authorized_keys").write_text(f"{line}\n")
        made = Login(Path(place), _free_port())
        yield made
        made.stop()


def _launched(site: Site, login: Login, **wanted: Any) -> record.Record:
    site.intend(offer="reverse", **wanted)
    wishes.write(site.files().wish, wishes.Wish("", 1, "", login.landing()))
    site.job(prefix=_SOMEBODY)
    return site.ready()


def _status(site: Site, target: probe.Target) -> int:
    return probe.get(target, "api/status", token=site.token()).status


def _over(now: record.Record) -> probe.Target:
    return probe.Target(now.base_url, socket=now.login_socket, port=now.login_port, tls_sha256=now.tls_sha256)


@pytest.mark.rows("T22")
def test_a_socket_on_the_login_host_leads_to_the_node_s_and_is_healed_with_the_key_that_there_is_now(
    site: Site, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    login.start()
    now = _launched(site, login)
    assert (now.offer, now.reason, now.login_port, now.tls_sha256) == ("reverse", "", 0, "")
    assert now.login_host_keys == list(login.landing().host_keys)
    assert _status(site, _over(now)) == 200
    assert probe.get(_over(now), "api/status").status == 403
    assert os.stat(now.login_socket).st_mode & 0o077 == 0
    login.stop()
    keys = login.place / "authorized_keys"
    former = keys.read_text()
    monkeypatch.setattr(authorized_keys, "target", lambda: str(keys))
    changes.apply(reverse_key.plan(site.layout, cluster="here", present=True, renew=True))
    assert (len(keys.read_text().splitlines()), keys.read_text() != former) == (1, True)
    login.start()
    wait_for(lambda: site.record().login_socket != now.login_socket, seconds=30)
    assert _status(site, _over(site.record())) == 200
    assert site.record().socket == now.socket


@pytest.mark.parametrize(("tls", "pinned"), [("auto", True), ("never", False)])
def test_where_sockets_are_not_forwarded_a_port_takes_their_place(
    site: Site, login: Login, tls: str, pinned: bool
) -> None:
    pin = site.certificate()
    login.start("AllowStreamLocalForwarding no")
    now = _launched(site, login, tls=tls)
    assert (now.offer, now.login_socket, now.tls_sha256) == ("reverse", "", pin if pinned else "")
    assert now.login_port > 1023
    assert _status(site, _over(now)) == 200


def test_a_login_host_that_refuses_leaves_a_socket_and_says_why(site: Site, login: Login) -> None:
    login.start("AllowTcpForwarding no", "AllowStreamLocalForwarding no")
    now = _launched(site, login)
    assert (now.offer, now.reason) == (
        "socket", f"sshd of 127.0.0.1, port {login.port} refuses the way back "
        "(AllowStreamLocalForwarding, AllowTcpForwarding)")
    assert _status(site, site.target()) == 200


@pytest.mark.parametrize(("spoil", "words"), [
    ("key", "127.0.0.1, port {port} has another host key than the login host that the session was asked from"),
    ("line", "sshd of 127.0.0.1, port {port} does not let the account's key for the way back in: "
             "run the playbook hpc.jupyter.setup"),
    ("own", "there is no {own} to log in to 127.0.0.1 with: set hpc_route to auto or reverse and run the playbook "
            "hpc.jupyter.setup"),
])
def test_what_is_in_the_way_is_named_and_a_running_kernel_stays(
    site: Site, login: Login, spoil: str, words: str
) -> None:
    login.start()
    site.intend()
    site.job(prefix=_SOMEBODY)
    first = site.ready()
    landing = login.landing()
    if spoil == "key":
        landing = replace(landing, host_keys=(_OTHER_KEY,))
    elif spoil == "line":
        (login.place / "authorized_keys").write_text("")
    else:
        os.unlink(site.layout.reverse_key)
    with pytest.raises(asking.NotDone) as caught:
        asking.ask(site.files(), "reverse", landing=landing, seconds=60)
    assert str(caught.value) == words.format(port=login.port, own=site.layout.reverse_key)
    assert replace(site.record(), answered="") == first


@pytest.mark.rows("T22")
def test_the_key_can_do_nothing_but_make_the_way_back(site: Site, login: Login) -> None:
    login.start()
    _launched(site, login)
    known = Path(site.record().socket).parent / "known_hosts"
    ssh = [
        *_SOMEBODY, "ssh", "-F", "none", "-i", site.layout.reverse_key, "-o", "IdentitiesOnly=yes",
        "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-o", "HostKeyAlias=hpc-jupyter-login-host",
        "-p", str(login.port),
    ]
    done = subprocess.run([*ssh, "127.0.0.1", "echo", "in"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "in\n" not in done.stdout
    forward = subprocess.run(
        [*ssh, "-W", f"127.0.0.1:{login.port}", "127.0.0.1"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=20, check=False,
    )
    assert forward.returncode != 0
    assert "administratively prohibited" in forward.stderr

"""A session on a Unix socket behind a real sshd on loopback: everything but the scheduler."""

from __future__ import annotations

import getpass
import http.server
import io
import json
import os
import shutil
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import write

from hpc_jupyter.access import Access
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.hold import Holder
from hpc_jupyter.outage import Outage
from hpc_jupyter.progress import Plain
from hpc_jupyter.results import Hints
from tests.cli.ssh_servers import keys, way  # noqa: F401  (fixtures)

TOKEN = "canary-token-0123456789"
BASE_URL = "/0123456789abcdef/"
INVENTORY = """\
all:
  children:
    lab:
      hosts: {alice@lab: {}, bob@lab: {hpc_user: root}}
      vars:
        hpc_scheduler: slurm
        hpc_gateways: ["{{ inventory_hostname | split('@') | first }}@gate.invalid:2222"]
        hpc_login_hosts: [login.invalid]
    here:
      hosts: {local: {ansible_connection: local, hpc_scheduler: none}}
"""
_COMMAND = """\
#!/bin/sh
[ "$1" = status ] && exec cat "$(dirname "$0")/status.json"
[ "$1" = step ] && exec "$(dirname "$0")/step" "$5"
echo "$1 $6" >> "$(dirname "$0")/asked"
[ "$1" = offer ] && [ -e "$(dirname "$0")/$6.json" ] && cp "$(dirname "$0")/$6.json" "$(dirname "$0")/answer.json"
echo "some noise before"
printf '%s ' "$5"
cat "$(dirname "$0")/answer.json"
exit "$(cat "$(dirname "$0")/code")"
"""


class SessionServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """What Jupyter answers at ``api/status``, on a Unix socket; ``tokens`` are those it was shown.

    It answers with 502 as often as ``stumbles`` says, then as it should.
    """

    daemon_threads = True
    accepts = True
    stumbles = 0
    notice = b""
    """What is answered on how long the session lasts."""

    def __init__(self, path: str) -> None:
        self.tokens: list[str] = []
        super().__init__(path, _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SessionServer

    def do_GET(self) -> None:
        """200 with the token and the base URL, else what Jupyter says too."""
        shown = self.headers.get("Authorization", "")
        self.server.tokens.append(shown)
        if self.server.stumbles:
            self.server.stumbles -= 1
            self.send_error(502)
        elif not self._body():
            self.send_error(404)
        elif shown != f"token {TOKEN}" or not self.server.accepts:
            self.send_error(403)
        else:
            body = self._body()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _body(self) -> bytes:
        status = b'{"connections": 0, "kernels": 0, "last_activity": "x", "started": "x"}'
        known = {f"{BASE_URL}api/status": status, f"{BASE_URL}hpc-jupyter/notice": self.server.notice}
        return known.get(self.path, b"")

    def address_string(self) -> str:
        """A Unix socket has none."""
        return "socket"

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@dataclass
class World:
    """An account ``me@lab`` whose cluster is this machine, by way of its sshd, with one session on ``node1``."""

    home: Path
    port: int
    cluster: Cluster
    record: Record
    server: SessionServer
    sshd: subprocess.Popen[bytes]
    said: io.StringIO = field(default_factory=io.StringIO)

    @property
    def access(self) -> Access:
        """The way in, with an ssh configuration that knows the test's key and where node1 is."""
        own = [str(self.home / "own_config")]
        return Access(self.cluster, write(self.cluster, own_configs=own))

    @property
    def connector(self) -> Connector:
        """For the session called ``default``; what it says lands in ``said``."""
        return Connector(self.access, "default", Plain(self.said), Hints((), "me@lab"))

    def tell(self, **changes: Any) -> None:
        """Change what the account's own command answers about the session."""
        self.record = replace(self.record, **changes)
        self.answer({"record": asdict(self.record), "token": TOKEN})

    def schedulers_word(self, *, may_go_on: bool = False, **changes: Any) -> None:
        """Change what the account's own command says when it asks the scheduler."""
        told = {**asdict(replace(self.record, **changes)), "may_go_on": may_go_on}
        (self.home / "root" / "status.json").write_text(json.dumps([told]))

    def would_offer(self, how: str, **changes: Any) -> None:
        """What the account's own command answers from then on when it is asked to offer the session as ``how``."""
        record = replace(self.record, offer=how, **changes)
        (self.home / "root" / f"{how}.json").write_text(json.dumps({"record": asdict(record), "token": TOKEN}) + "\n")

    @property
    def offers(self) -> list[str]:
        """The offers that were asked for."""
        asked = (self.home / "root" / "asked").read_text().splitlines()
        return [line.split()[1] for line in asked if line.startswith("offer ")]

    @property
    def logins(self) -> int:
        """How often somebody was let in."""
        return (self.home / "sshd.log").read_text().count("Accepted publickey")

    def answer(self, answer: dict[str, Any], *, code: int = 0) -> None:
        """Set the whole answer, and what the command exits with."""
        (self.home / "root").mkdir(exist_ok=True)
        (self.home / "root" / "code").write_text(str(code))
        (self.home / "root" / "answer.json").write_text(json.dumps(answer) + "\n")

    def stop_sshd(self) -> None:
        """End sshd and every connection it serves."""
        argv = ["pgrep", "-P", str(self.sshd.pid)]
        pids = subprocess.run(argv, check=False, timeout=10, capture_output=True, text=True)
        self.sshd.terminate()
        self.sshd.wait(timeout=10)
        subprocess.run(["kill", *pids.stdout.split()], check=False, timeout=10, stderr=subprocess.DEVNULL)

    def start_sshd(self) -> None:
        """Start it again."""
        self.sshd = start_sshd(self.home, self.port)


def connect(world: World, port: int = 0) -> Link:
    """A connection that this process holds."""
    connector = world.connector
    connector.access.log_in(connector.progress, interactive=False)
    with connector.believing_the_scheduler():
        return connector.connect(connector.attach(), port=port)


def mend(connector: Connector, link: Link, say: Callable[[str], None]) -> Link:
    """``link`` as it is once it has been mended."""
    holder = Holder(connector, link, say)
    holder.mend(Outage(say))
    return holder.link


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory whose name leaves room for a socket's."""
    path = Path(tempfile.mkdtemp(prefix="hj-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def world(short_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Everything up; everything gone afterwards."""
    monkeypatch.setenv("XDG_STATE_HOME", str(short_directory / "state"))
    _make_files(short_directory)
    port = free_port()
    (short_directory / "own_config").write_text(_own_config(short_directory, port))
    server = SessionServer(str(short_directory / "s"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = World(
        home=short_directory,
        port=port,
        cluster=_cluster(short_directory, port),
        record=_record(short_directory),
        server=server,
        sshd=start_sshd(short_directory, port),
    )
    made.tell()
    made.schedulers_word()
    yield made
    ssh.close_master(made.access.files)
    made.stop_sshd()
    server.shutdown()
    server.server_close()


@pytest.fixture
def environment(tmp_path: Path, short_directory: Path) -> dict[str, str]:
    """A home of its own, an inventory, and nothing that would ask or colour."""
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    path = os.pathsep.join(item for item in sys.path if item)
    return {
        **kept, "HOME": str(tmp_path), "XDG_STATE_HOME": str(short_directory), "PYTHONPATH": path, "TERM": "dumb",
        "HPC_JUPYTER_INVENTORY": str(tmp_path / "hosts.yml"),
    }  # fmt: skip


def start_sshd(home: Path, port: int) -> subprocess.Popen[bytes]:
    """Returns once it accepts connections."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    assert program, "install openssh-server"
    with (home / "sshd.log").open("ab") as log:
        argv = [program, "-D", "-e", "-f", str(home / "sshd_config")]
        sshd = subprocess.Popen(argv, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 10
    while not answers(port):
        assert time.monotonic() < deadline, (home / "sshd.log").read_text()
        time.sleep(0.02)
    return sshd


def answers(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mode(path: Path) -> str:
    """A file's permissions, as ``600``."""
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def _make_files(home: Path) -> None:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("id", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True, timeout=30)
    command = home / "root" / "hpc-session"
    command.parent.mkdir(mode=0o700)
    command.write_text(_COMMAND)
    command.chmod(0o755)


def sshd_config(home: Path, port: int, *more: str) -> None:
    """Write sshd's configuration; ``more`` comes first, and the first value wins."""
    lines = [
        *more, f"ListenAddress 127.0.0.1:{port}", f"HostKey {home}/host", f"AuthorizedKeysFile {home}/id.pub",
        "PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "PermitRootLogin yes",
    ]  # fmt: skip
    (home / "sshd_config").write_text("\n".join(lines) + "\n")


def _own_config(home: Path, port: int) -> str:
    sshd_config(home, port)
    return (
        f"Match originalhost node1,node2\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias node1\n"
        f"Match all\n  IdentityFile {home}/id\n  IdentityAgent none\n"
    )


def _cluster(home: Path, port: int) -> Cluster:
    shown = subprocess.run(["ssh-keygen", "-lf", home / "host"], capture_output=True, check=True, text=True, timeout=30)
    return Cluster(
        name="lab",
        account="me@lab",
        user=getpass.getuser(),
        login_hosts=("127.0.0.1",),
        login_port=port,
        host_keys=(("127.0.0.1", (Pin(shown.stdout.split()[1]),)),),
        scheduler="slurm",
        route="node",
        root=str(home / "root"),
    )


def _record(home: Path) -> Record:
    key = " ".join((home / "host.pub").read_text().split()[:2])
    return Record(
        session="default", cluster="lab", account="me@lab", scheduler="slurm", generation=1, state="ready", job_id="17",
        node="node1", host_keys=[key], socket=str(home / "s"), base_url=BASE_URL,
    )  # fmt: skip

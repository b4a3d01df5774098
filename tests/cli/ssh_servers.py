"""Real OpenSSH servers on loopback: a gateway, a login host, and an account whose way goes through both."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, write

GATE = "127.0.0.1"
LOGIN = "127.0.0.2"
WRONG = Pin("SHA256:" + "A" * 43)
ME = getpass.getuser()


@dataclass
class Server:
    """One sshd of the test's own."""

    directory: Path
    address: str
    port: int
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it accepts connections."""
        assert shutil.which("sshd", path="/usr/sbin:/usr/bin"), "install openssh-server"
        argv = [*_SSHD, "-D", "-e", "-f", str(self._config())]
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not listens(self.address, self.port):
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends sshd; connections that stand stay."""
        if self.process:
            self.process.terminate()
            self.process.wait(10)

    def pin(self, kind: str = "ed25519") -> Pin:
        """The fingerprint of this server's key."""
        shown = subprocess.run(["ssh-keygen", "-lf", self.directory / kind], capture_output=True, check=True, text=True)
        return Pin(shown.stdout.split()[1])

    def public_key(self) -> str:
        """The server's key as a record holds it."""
        return " ".join((self.directory / "ed25519.pub").read_text().split()[:2])

    def _config(self) -> Path:
        path = self.directory / "sshd_config"
        lines = [
            *self.options, f"ListenAddress {self.address}:{self.port}", f"HostKey {self.directory / 'ed25519'}",
            f"HostKey {self.directory / 'rsa'}", f"AuthorizedKeysFile {self.directory.parent / 'id.pub'}",
            "PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "PermitRootLogin yes",
        ]
        path.write_text("\n".join(lines) + "\n")
        return path


_SSHD = ["/usr/sbin/sshd"]


@dataclass
class Way:
    """A gateway and a login host, and the account that goes through them."""

    home: Path
    gate: Server
    login: Server
    files: Files
    cluster: Cluster

    def write(self, *more: str, **changes: object) -> None:
        """Write the configuration with ``changes`` to the cluster and ``more`` in the person's own config."""
        self.cluster = replace(self.cluster, **changes)  # type: ignore[arg-type]
        own = self.home / "own_config"
        own.write_text("\n".join([f"IdentityFile {self.home / 'id'}", "IdentityAgent none", *more]) + "\n")
        write(self.cluster, directory=self.files.directory, own_configs=[str(own)])

    def open(self, *, seconds: float = 20, **options: object) -> bool:
        """Open the master."""
        return ssh.open_master(self.cluster, self.files, timeout_seconds=seconds, **options)  # type: ignore[arg-type]

    def failure(self, **changes: object) -> str:
        """What the user is told."""
        self.write(**changes)
        with pytest.raises(ssh.ConnectFailed) as told:
            self.open()
        return str(told.value)


def free_port(address: str) -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def listens(address: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def make_keys(directory: Path, *kinds: str) -> None:
    """Key pairs named by their kind."""
    directory.mkdir(exist_ok=True)
    for kind in kinds:
        size = ["-b", "2048"] if kind == "rsa" else []
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-f", directory / kind], check=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys are made once: an RSA key takes its time."""
    directory = tmp_path_factory.mktemp("keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("gate", "login"):
        make_keys(directory / name, "ed25519", "rsa")
    make_keys(directory, "ed25519")
    return directory


@pytest.fixture
def way(keys: Path, tmp_path: Path) -> Iterator[Way]:
    """A way that works; a test breaks it."""
    home = tmp_path / "w"
    shutil.copytree(keys, home)
    (home / "ed25519").rename(home / "id")
    (home / "ed25519.pub").rename(home / "id.pub")
    servers = [Server(home / name, at, free_port(at)) for name, at in (("gate", GATE), ("login", LOGIN))]
    gate, login = servers
    cluster = Cluster(
        name="lab", account=f"{ME}@lab", user=ME, gateways=(Gateway(GATE, ME, gate.port),), login_hosts=(LOGIN,),
        login_port=login.port, host_keys=((GATE, (gate.pin(),)), (LOGIN, (login.pin(),))), scheduler="slurm",
    )
    state = Path(os.environ.get("TMPDIR", "/tmp")) / f"hpcj-test-{os.getpid()}-{os.urandom(3).hex()}"
    try:
        for server in servers:
            server.start()
        result = Way(home, gate, login, Files(str(state)), cluster)
        result.write()
        yield result
    finally:
        ssh.close_master(Files(str(state)))
        for server in servers:
            server.stop()
        shutil.rmtree(state, ignore_errors=True)

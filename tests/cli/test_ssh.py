"""The generated configuration and the login master against real OpenSSH servers on loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, record_node_keys, write

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


def test_one_login_then_nothing(way: Way) -> None:
    assert way.open() is True
    assert way.open() is False
    assert ssh.master_alive(way.files)
    assert ssh.close_master(way.files) is True
    assert ssh.close_master(way.files) is False
    assert sorted(os.listdir(way.files.directory)) == [
        "asking_config", "batch_config", "lock", "node_options", "once_config", "ssh_config"
    ]


def test_files_are_private_and_written_only_if_changed(way: Way) -> None:
    before = os.stat(way.files.config)
    way.write()
    assert os.stat(way.files.config).st_ino == before.st_ino
    assert before.st_mode & 0o777 == 0o600
    assert os.stat(way.files.directory).st_mode & 0o777 == 0o700


def test_any_of_several_pins_will_do(way: Way) -> None:
    way.write(host_keys=((GATE, (WRONG, way.gate.pin())), (LOGIN, (way.login.pin("rsa"), way.login.pin()))))
    assert way.open()


def test_wrong_pin_at_the_gateway(way: Way) -> None:
    presented = way.gate.pin()
    assert way.failure(host_keys=((GATE, (WRONG,)), (LOGIN, (way.login.pin(),)))) == (
        f"lab: gateway {GATE} presents the ED25519 key {presented}, which is not pinned (pinned: {WRONG}). "
        "Nothing was sent. Either this is not the right host, or its key is new: compare with what the site "
        "publishes, then correct hpc_host_keys"
    )


def test_wrong_pin_at_the_login_host(way: Way) -> None:
    told = way.failure(host_keys=((GATE, (way.gate.pin(),)), (LOGIN, (WRONG,))))
    assert told.startswith(f"lab: login host {LOGIN} presents the ED25519 key {way.login.pin()}, which is not pinned")


def test_a_known_host_does_not_stand_in_for_a_pin(way: Way) -> None:
    known = way.home / "known"
    known.write_text(f"[{LOGIN}]:{way.login.port} {way.login.public_key()}\n")
    own = [f"UserKnownHostsFile {known}", "StrictHostKeyChecking no", "KnownHostsCommand /bin/false"]
    way.write(*own, host_keys=((GATE, (way.gate.pin(),)), (LOGIN, (WRONG,))))
    with pytest.raises(ssh.ConnectFailed, match="which is not pinned"):
        way.open()


def test_pin_of_another_kind_chooses_the_key(way: Way) -> None:
    rsa = replace(way.login.pin("rsa"), kind="RSA")
    way.write(host_keys=((GATE, (way.gate.pin(),)), (LOGIN, (rsa,))))
    assert way.open()


def test_host_certificate_does_not_get_in_the_way_of_a_pin(way: Way) -> None:
    make_keys(way.home / "ca", "ed25519")
    key = str(way.login.directory / "ed25519.pub")
    sign = ["ssh-keygen", "-q", "-s", str(way.home / "ca/ed25519"), "-I", "login", "-h", key]
    subprocess.run(sign, check=True)
    way.login.stop()
    way.login.options = [f"HostCertificate {way.login.directory / 'ed25519-cert.pub'}"]
    way.login.start()
    assert way.open()


def test_host_without_a_pin_must_be_known(way: Way) -> None:
    known = way.home / "known"
    own = [f"UserKnownHostsFile {known}", "GlobalKnownHostsFile /dev/null", "StrictHostKeyChecking no"]
    way.write(*own, host_keys=((GATE, (way.gate.pin(),)),))
    with pytest.raises(ssh.ConnectFailed) as told:
        way.open()
    assert str(told.value) == (
        f"lab: login host {LOGIN}: its ED25519 host key is not known. Pin the fingerprint that the site publishes: "
        f'hpc_host_keys: {{{LOGIN}: ["SHA256:…"]}}'
    )
    known.write_text(f"[{LOGIN}]:{way.login.port} {way.login.public_key()}\n")
    assert way.open()


def test_changed_key_of_a_known_host(way: Way) -> None:
    known = way.home / "known"
    known.write_text(f"[{LOGIN}]:{way.login.port} {way.gate.public_key()}\n")
    way.write(f"UserKnownHostsFile {known}", host_keys=((GATE, (way.gate.pin(),)),))
    with pytest.raises(ssh.ConnectFailed) as told:
        way.open()
    assert str(told.value) == (
        f"lab: login host {LOGIN}: the host key has changed. It presents the ED25519 key {way.login.pin()}. "
        f"Another one is in {known}, line 1. Nothing was sent. Compare with what the site publishes, "
        "then pin it in hpc_host_keys"
    )


def _strange_key(server: Server) -> None:
    server.stop()
    server.options = ["AuthorizedKeysFile none"]
    server.start()


@pytest.mark.parametrize(("name", "label"), [("gate", f"gateway {GATE}"), ("login", f"login host {LOGIN}")])
def test_key_not_accepted(way: Way, name: str, label: str) -> None:
    _strange_key(way.gate if name == "gate" else way.login)
    assert way.failure() == (
        f"lab: {label}: {ME} was not let in: the account is not known there, or the key or password is not accepted "
        "(it takes: publickey). Check the user's name; a key with a passphrase must be in the agent (ssh-add)"
    )


def test_gateway_does_not_listen(way: Way) -> None:
    way.gate.stop()
    assert way.failure() == (
        f"lab: gateway {GATE}: port {way.gate.port} cannot be reached from this machine (Connection refused). "
        "Check this machine's network or VPN, and whether the host is up"
    )


def test_login_host_does_not_listen(way: Way) -> None:
    way.login.stop()
    assert way.failure() == (
        f"lab: login host {LOGIN} cannot be reached from {GATE} (Connection refused). "
        "Try later, or ask the site whether it is down"
    )


def test_names_that_do_not_resolve(way: Way) -> None:
    gateway = Gateway("gate.invalid", ME)
    assert way.failure(gateways=(gateway,)) == (
        "lab: gateway gate.invalid: the name is not known here. "
        "Check hpc_gateways, and this machine's network or VPN"
    )
    told = way.failure(gateways=(Gateway(GATE, ME, way.gate.port),), login_hosts=("login.invalid",))
    assert told.startswith(f"lab: login host login.invalid: the name is not known from {GATE} (")


def test_gateway_that_passes_nothing_on(way: Way) -> None:
    way.gate.stop()
    way.gate.options = ["AllowTcpForwarding no"]
    way.gate.start()
    assert way.failure() == (
        f"lab: login host {LOGIN} cannot be reached from {GATE}, which refuses to pass connections on. "
        "Ask the site for its gateway"
    )


def test_which_of_two_gateways_breaks(way: Way) -> None:
    first = Gateway(GATE, ME, way.gate.port)
    second = Gateway("127.0.0.3", ME, free_port("127.0.0.3"))
    assert way.failure(gateways=(first, second)).startswith(f"lab: gateway 127.0.0.3 cannot be reached from {GATE} (")


def test_nobody_answers_in_time(way: Way) -> None:
    way.login.stop()
    with socket.create_server((LOGIN, way.login.port)):
        started = time.monotonic()
        with pytest.raises(ssh.ConnectFailed) as told:
            way.open(seconds=2)
    assert time.monotonic() - started < 5
    assert str(told.value) == (
        f"lab: login host {LOGIN} did not let {ME} in within 2 seconds. "
        "Check that it is up, and this machine's network or VPN"
    )


def test_stale_and_dead_masters_are_replaced(way: Way) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(way.files.control)
    assert way.open()
    pid = _master_pid(way)
    os.kill(pid, signal.SIGKILL)
    assert way.open()
    assert _master_pid(way) != pid


def _master_pid(way: Way) -> int:
    argv = ["ssh", "-F", "none", "-S", way.files.control, "-O", "check", "x"]
    told = subprocess.run(argv, capture_output=True, check=True, text=True).stderr
    return int(told.split("pid=")[1].split(")")[0])


def test_master_and_jump_are_not_in_our_session(way: Way) -> None:
    way.open()
    assert os.getsid(_master_pid(way)) != os.getsid(0)
    ours = subprocess.run(["ps", "-o", "args=", "-s", str(os.getsid(0))], capture_output=True, check=True, text=True)
    assert way.files.directory not in ours.stdout


HOSTILE = """\
LocalForward 127.0.0.1:{port} 127.0.0.1:1
ExitOnForwardFailure yes
RemoteCommand tmux
RequestTTY force
ForwardAgent yes
ControlMaster yes
ControlPath {home}/own-control
LogLevel QUIET
StrictHostKeyChecking no
PermitLocalCommand yes
LocalCommand touch {home}/touched
SessionType none
StdinNull yes
HostKeyAlias nonsense
ServerAliveInterval 0
"""


def test_own_config_cannot_break_the_way(way: Way) -> None:
    port = free_port("127.0.0.1")
    way.write(*HOSTILE.format(port=port, home=way.home).splitlines())
    with socket.create_server(("127.0.0.1", port)):
        assert way.open()
        answer = ssh.run_remote(way.cluster, way.files, ["sh", "-c", "echo agent=$SSH_AUTH_SOCK"])
    assert answer.stdout == "agent=\n"
    assert not (way.home / "own-control").exists()
    assert not (way.home / "touched").exists()


def test_own_config_counts_for_the_gateways_real_name(way: Way) -> None:
    right = way.home / "id"
    other = way.home / "other"
    right.rename(other)
    way.write(f"Host {GATE} {LOGIN}", f"IdentityFile {other}")
    assert way.open()


def test_node_is_reached_by_the_key_in_its_record(way: Way) -> None:
    record_node_keys(way.files.directory, "c2", [way.login.public_key()])
    way.write("Host c2", f"HostName {LOGIN}", f"Port {way.login.port}")
    way.open()
    argv = ["ssh", "-F", way.files.config, "-o", "HostKeyAlias=c2", "c2", "echo", "inside"]
    assert subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout == b"inside\n"
    record_node_keys(way.files.directory, "c2", [way.gate.public_key()])
    assert subprocess.run(argv, capture_output=True, check=False, timeout=20).returncode == 255


def _login_shell(way: Way, command: str) -> None:
    way.login.stop()
    way.login.options = [f"ForceCommand {command}"]
    way.login.start()


@pytest.mark.parametrize("shell", ["sh", "bash", "tcsh"])
def test_command_is_framed_in_every_shell(way: Way, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    _login_shell(way, f'echo noise; printf "\\377\\n"; {shell} -c "$SSH_ORIGINAL_COMMAND"; echo more noise')
    way.open()
    words = ["it's", "a !b", '$HOME `id` "', "x\ny", "*"]
    answer = ssh.run_remote(way.cluster, way.files, [sys.executable, "-c", "import sys; print(sys.argv[1:])", *words])
    assert (answer.code, answer.stdout) == (0, f"{words}\n")


def test_command_below_the_home_directory_and_its_exit_code(way: Way) -> None:
    answer = ssh.run_remote(way.cluster, way.files, ["~/does not exist"])
    assert answer.code == 127
    assert "/does not exist" in answer.stderr
    assert "~" not in answer.stderr


def test_command_without_a_master_leaves_none(way: Way) -> None:
    assert ssh.run_remote(way.cluster, way.files, ["echo", "x"]).stdout == "x\n"
    assert not ssh.master_alive(way.files)


def test_command_that_does_not_end(way: Way) -> None:
    way.open()
    with pytest.raises(ssh.ConnectFailed, match=r"^lab: sleep did not answer within 1 seconds$"):
        ssh.run_remote(way.cluster, way.files, ["sleep", "60"], timeout_seconds=1)


def test_login_shell_that_runs_nothing(way: Way) -> None:
    _login_shell(way, "echo This account is currently not available.; exit 1")
    with pytest.raises(ssh.ConnectFailed) as told:
        ssh.run_remote(way.cluster, way.files, ["true"])
    assert str(told.value) == (
        f"lab: the login shell of {ME}@lab runs no commands (exit 1): This account is currently not available."
    )


def test_local_account_needs_no_ssh(way: Way) -> None:
    local = Cluster(name="local", account="local", user="", local=True)
    assert ssh.open_master(local, way.files) is False
    assert ssh.run_remote(local, way.files, ["echo", "it's"]).stdout == "it's\n"


def _askpass(way: Way, body: str) -> str:
    program = way.home / "askpass"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o700)
    return str(program)


def test_question_is_put_to_the_askpass_program(way: Way) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", way.home / "id"], check=True, capture_output=True)
    asked = way.home / "asked"
    assert way.open(askpass=_askpass(way, f'echo "$1" >> {asked}; echo "$WORD"'), environment={"WORD": "secret"})
    assert asked.read_text().startswith(f"Enter passphrase for key '{way.home / 'id'}'")


def test_without_askpass_nothing_is_asked(way: Way) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", way.home / "id"], check=True, capture_output=True)
    assert "a key with a passphrase must be in the agent (ssh-add)" in way.failure()


def test_banner_is_shown_whatever_its_bytes(way: Way) -> None:
    (way.home / "banner").write_bytes(b"Willkommen, T\xfcr ist offen\nGr\xc3\xbc\xc3\x9fe\n")
    way.gate.stop()
    way.gate.options = [f"Banner {way.home / 'banner'}"]
    way.gate.start()
    shown: list[str] = []
    show: Callable[[str], None] = shown.append
    assert way.open(askpass="/bin/false", show=show)
    assert len(shown) == 2
    assert shown[0].startswith("Willkommen, T")

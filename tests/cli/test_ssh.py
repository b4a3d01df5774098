"""The generated configuration and the login master against real OpenSSH servers on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import replace

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import node_keys, ssh

from tests.cli.ssh_servers import GATE, LOGIN, WRONG, Way, free_port, make_keys


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


@pytest.mark.rows("B61")
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


@pytest.mark.rows("F25")
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
    node_keys.record(way.files.directory, "c2", [way.login.public_key()])
    way.write("Host c2", f"HostName {LOGIN}", f"Port {way.login.port}")
    way.open()
    argv = ["ssh", "-F", way.files.config, "-o", "HostKeyAlias=c2", "c2", "echo", "inside"]
    assert subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout == b"inside\n"
    node_keys.record(way.files.directory, "c2", [way.gate.public_key()])
    assert subprocess.run(argv, capture_output=True, check=False, timeout=20).returncode == 255

"""Route step: the sshd that a step runs, over a plain pipe in the place of `srun`, which the lab's Slurm has."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import step
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles

from tests.session_site import wait_for


@dataclass
class Step:
    """A prepared session and the key of its owner's laptop."""

    files: SessionFiles
    place: Path
    host_key: str

    def ssh(self, *more: str, permit: tuple[int, ...] = (), key: str = "id") -> list[str]:
        """An ssh to the session's sshd; its host key is the only one that is known."""
        public = " ".join((self.place / "id.pub").read_text().split()[:2])
        argv = step.server(self.files, key=public, socket=str(self.place / "s"), permit=permit)
        (self.place / "known").write_text(f"step {self.host_key}\n")
        options = {
            "ProxyCommand": shlex.join(argv), "UserKnownHostsFile": str(self.place / "known"), "HostKeyAlias": "step",
            "IdentitiesOnly": "yes", "IdentityAgent": "none", "BatchMode": "yes", "StrictHostKeyChecking": "yes",
            "ExitOnForwardFailure": "yes",
        }
        named = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(self.place / key), *named, *more, "step"]

    def fails(self, *more: str, key: str = "id") -> str:
        """What ssh says when it fails."""
        done = subprocess.run(self.ssh(*more, key=key), capture_output=True, text=True, timeout=30, check=False,
                              stdin=subprocess.DEVNULL)
        assert done.returncode != 0
        return done.stderr


@pytest.fixture(name="made")
def _made(tmp_path: Path) -> Step:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    files = SessionFiles(str(tmp_path / "a session"))
    os.mkdir(files.path, 0o700)
    for name in ("id", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True, timeout=20)
    return Step(files, tmp_path, step.prepare(files, environment=os.environ))


@pytest.fixture(name="listening")
def _listening(made: Step) -> Iterator[list[str]]:
    """Who has been connected to: the session's socket `s`, another one, and two ports; each says its name."""
    met: list[str] = []
    sockets = {name: socket.socket(socket.AF_UNIX) for name in ("s", "private")}
    for name, listener in sockets.items():
        listener.bind(str(made.place / name))
    sockets.update({name: socket.create_server(("127.0.0.1", 0)) for name in ("open", "shut")})
    for name, listener in sockets.items():
        listener.listen()
        threading.Thread(target=_greet, args=(name, listener, met), daemon=True).start()
    met.append(" ".join(str(sockets[name].getsockname()[1]) for name in ("open", "shut")))
    yield met
    for listener in sockets.values():
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _greet(name: str, listener: socket.socket, met: list[str]) -> None:
    try:
        while True:
            client, _address = listener.accept()
            with client:
                met.append(name)
                client.sendall(name.encode())
    except OSError:
        return


def _says(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(20)
        asked.connect(str(path))
        return asked.recv(100)


@pytest.mark.rows("T21")
def test_only_the_session_s_socket_and_permitted_ports_are_reached(made: Step, listening: list[str]) -> None:
    opened, shut = listening[0].split()
    ways = {"a": made.place / "s", "b": made.place / "private", "c": f"127.0.0.1:{opened}", "d": f"127.0.0.1:{shut}"}
    forwards = [part for name, to in ways.items() for part in ("-L", f"{made.place / name}:{to}")]
    with subprocess.Popen(made.ssh("-N", *forwards, permit=(int(opened),)), stderr=subprocess.PIPE) as ssh:
        try:
            wait_for(lambda: (made.place / "d").exists() or ssh.poll() is not None)
            said = {name: _says(made.place / name) for name in ways}
        finally:
            ssh.terminate()
    assert said == {"a": b"s", "b": b"", "c": b"open", "d": b""}
    assert set(listening[1:]) == {"s", "open"}


@pytest.mark.rows("T21")
def test_there_is_no_command_no_terminal_and_no_way_in_for_another_key(made: Step) -> None:
    assert subprocess.run(made.ssh(), stdin=subprocess.DEVNULL, timeout=30, check=False).returncode == 1
    assert made.fails("-tt").startswith("PTY allocation request failed")
    assert "Permission denied (publickey)" in made.fails("-N", key="other")
    assert "remote port forwarding failed" in made.fails("-N", "-R", f"{made.place}/back:127.0.0.1:1")


@pytest.mark.rows("T21")
def test_its_files_are_private_and_its_host_key_is_fresh_every_time(made: Step) -> None:
    made.ssh()
    names = [name for name in os.listdir(made.files.step) if name not in ("sshd", "host_key.pub")]
    modes = {name: os.lstat(os.path.join(made.files.step, name)).st_mode & 0o777 for name in names}
    assert {"host_key": 0o600, **dict.fromkeys(names, 0o600)} == modes
    assert os.stat(made.files.step).st_mode & 0o777 == 0o700
    assert step.prepare(made.files, environment=os.environ) != made.host_key


def test_a_node_without_an_sshd_has_no_route_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_arguments, **_options: None)
    with pytest.raises(step.NoStep) as caught:
        step.prepare(SessionFiles(str(tmp_path)), environment={})
    assert str(caught.value) == "there is no sshd on the node"

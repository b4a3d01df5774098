"""The threats T1-T28 of docs/reliability.md, tried by a second Unix user while one session of alice's runs.

Alice is careless: her homes are open to others, her directories were made with mode 0755, and a configuration that she
found somewhere opens Jupyter to everybody. Every secret is a canary; every row shows that a door is shut.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from hpclab import Lab
from tests import mallory

_SERVER = """
import socket, sys
door, word = sys.argv[1], sys.argv[2][::-1]
listener = socket.socket(socket.AF_UNIX) if door else socket.create_server(("127.0.0.1", 0))
if door:
    listener.bind(door)
    listener.listen()
print("up", flush=True)
caller = listener.accept()[0]
caller.recv(4096)
caller.send(word.encode())
"""


@pytest.fixture
def planted(lab: Lab) -> Iterator[Lab]:
    """A host on which somebody is careless in every way that a scan knows."""
    there = lab.host("login1")
    there.run(["sh", "-c", "chmod 755 ~; umask 022; echo file-canary-1 >~/file"], user="alice")
    there.run(["sbatch", "--comment=job-canary-1", "--wrap=sleep 1000"], user="alice")
    commands = [
        ["python3", "-c", "print('up', flush=True); input()", "argv-canary-1"],
        ["python3", "-c", _SERVER, "", "port-canary-1"[::-1]],
        ["python3", "-c", f"import os; os.umask(0)\n{_SERVER}", "/tmp/door", "unix-canary-1"[::-1]],
    ]
    running = [there.popen(argv, user="alice", stdin=subprocess.PIPE, stdout=subprocess.PIPE) for argv in commands]
    try:
        for process in running:
            assert process.stdout
            assert process.stdout.readline() == "up\n"
        yield lab
    finally:
        for process in running:
            process.kill()
            process.communicate(timeout=10)


def test_a_scan_finds_what_is_there_to_be_found(planted: Lab) -> None:
    """No clean scan means anything unless a careless host is not clean."""
    names = ("file", "argv", "port", "unix", "job")
    seen = mallory.look(planted, "login1", {name: f"{name}-canary-1" for name in names})
    assert {finding.canary for finding in seen.findings} == set(names), seen
    assert {(door.kind, door.uid) for door in seen.doors} == {("tcp", 2001), ("unix", 2001)}
    assert seen.unanswered == ()
    assert {"cmdline", "files", "answers", "commands"} <= set(seen.looked)

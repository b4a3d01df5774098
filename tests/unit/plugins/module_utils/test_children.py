# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
import time

from ansible_collections.hpc.jupyter.plugins.module_utils import children

_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
_ORPHAN = """
import subprocess
orphan = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
print(orphan.pid)
"""
_REAPER = """
import os, subprocess, sys
from ansible_collections.hpc.jupyter.plugins.module_utils import children
adopted = children.adopt_orphans()
pid = int(subprocess.run([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout)
print(not adopted or pid in children.descendants(os.getpid()))
print(children.end_descendants(os.getpid(), grace_seconds=5, reap=children.reap))
print(pid)
"""


def test_a_child_is_found_with_its_command_and_its_parent() -> None:
    # What it prints shows that it has a command line: in the moment of its start a process has none yet.
    child = subprocess.Popen(["sh", "-c", "echo ready; read end"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout
        child.stdout.readline()
        found = children.process(child.pid)
        assert found == children.Process(child.pid, os.getpid(), os.geteuid(), "sh -c echo ready; read end")
        assert children.processes()[child.pid] == found
        assert child.pid in children.descendants(os.getpid())
    finally:
        child.kill()
        child.communicate()


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 10
    while children.process(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert children.process(child.pid) is None
    assert child.pid not in children.processes()
    child.wait()


def test_ps_rows_are_read_as_proc_is() -> None:
    text = "  1  0  0 Ss   /sbin/init --flag\n 42  1  1000 Z (sh)\n 43 1 1000 S /bin/sh -c a  b\n44 1 0 S\n"
    assert children.parse_ps(text) == [
        children.Process(1, 0, 0, "/sbin/init --flag"),
        children.Process(43, 1, 1000, "/bin/sh -c a  b"),
        children.Process(44, 1, 0, ""),
    ]


def test_descendants_are_listed_nearest_first() -> None:
    table = {pid: children.Process(pid, parent, 0, "") for pid, parent in ((2, 1), (3, 2), (4, 2), (5, 4), (6, 1))}
    assert children.descendants(2, table) == [3, 4, 5]
    assert children.descendants(5, table) == []


def test_orphans_in_sessions_of_their_own_are_ended_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _REAPER, _ORPHAN], stdout=subprocess.PIPE, check=True, timeout=60,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry)),
    )
    found, left, pid = done.stdout.decode().splitlines()
    assert (found, left) == ("True", "[]")
    assert children.process(int(pid)) is None


def test_what_ignores_term_is_killed_after_the_grace() -> None:
    child = subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    children.send(15, [child.pid])
    time.sleep(0.1)
    assert children.process(child.pid) is not None
    children.send(9, [child.pid])
    assert child.wait(timeout=10) == -9
    child.stdout.close()

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process is let go of so that it outlives the login: on its own, or shown by a window of tmux or screen.

In all ways it has a login session of its own, its output goes straight to the log, and its environment is that of
whoever started it: a window only shows the log, and ends the job when it is closed. So nothing is lost when the window
is, and nothing comes in from a tmux server that another login started weeks ago.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import children
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, SubmitRefused, SubmitUnclear
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.run import find_command
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import SCREEN, SETSID, TMUX

_START_SECONDS = 30
_CLOSE_SECONDS = 5
_PLACE = "hpcj-window-"
_PROGRAM = "jupyter.py"
_OF_A_WINDOW = ("TMUX", "TMUX_PANE", "STY", "WINDOW")
_ALONE = """
import json, subprocess, sys
order = json.load(sys.stdin)
with open(order["log"], "ab") as log:
    job = subprocess.Popen(order["argv"], cwd=order["directory"], env=order["environment"], stdin=subprocess.DEVNULL,
                           stdout=log, stderr=log, start_new_session=True)
print(job.pid)
"""
"""A process between us and the job: it ends at once, so that no login and no program of ours is the job's parent."""

_WINDOW = """
import json, os, signal, subprocess, sys, threading, time

place = os.path.dirname(os.path.abspath(__file__))

def tell(name, text):
    with open(os.path.join(place, name + ".new"), "w") as stream:
        stream.write(text)
    os.rename(stream.name, os.path.join(place, name))

def show():
    try:
        while True:
            sys.stdout.buffer.write(shown.read())
            sys.stdout.buffer.flush()
            time.sleep(0.2)
    except OSError:
        pass  # the terminal is gone

with open(os.path.join(place, "order.json")) as stream:
    order = json.load(stream)
try:
    with open(order["log"], "ab") as log:
        shown = open(order["log"], "rb")
        job = subprocess.Popen(order["argv"], cwd=order["directory"], env=order["environment"],
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
except OSError as error:
    tell("failed", str(error))
    sys.exit(1)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: job.terminate())
tell("started", str(job.pid))
print(order["title"], flush=True)
threading.Thread(target=show, daemon=True).start()
job.wait()
time.sleep(0.5)
# Some configure their windows to stay when their program has ended.
pane = os.environ.get("TMUX_PANE")
argv = ["kill-pane", "-t", pane] if pane else ["-S", os.environ.get("STY", ""), "-p", os.environ.get("WINDOW", ""),
                                               "-X", "kill"]
subprocess.Popen([order["program"], *argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL, start_new_session=True)
os._exit(0)  # not held up by a terminal that does not take what is shown
"""


@dataclass(frozen=True)
class Start:
    """What to start: ``name`` is what tmux and screen call it, ``title`` the first line that they show."""

    argv: tuple[str, ...]
    directory: str
    log: str
    environment: Mapping[str, str]
    name: str = ""
    title: str = ""

    def to_json(self, *, program: str = "") -> bytes:
        """For the process that starts it; the environment is in it, so it is for a pipe or a private file only."""
        return json.dumps({
            "argv": self.argv, "directory": self.directory, "log": self.log, "environment": dict(self.environment),
            "title": self.title, "program": program,
        }).encode()


def check(detach: str) -> None:
    """Raise ``BadInput`` where the program for it is missing."""
    if detach == SETSID:
        return
    try:
        find_command(detach)
    except FileNotFoundError as error:
        raise BadInput(
            "hpc_detach", f"there is no {detach} on {socket.gethostname()}",
            hint="Install it there, or set hpc_detach: setsid and run the playbook hpc.jupyter.setup",
        ) from error


def own_environment() -> dict[str, str]:
    """This process's environment, without the window that it may be in."""
    return {name: value for name, value in os.environ.items() if name not in _OF_A_WINDOW}


def start(wanted: Start, detach: str = SETSID) -> int:
    """Start it and return its process id; raises ``SubmitRefused`` or ``SubmitUnclear``."""
    return _alone(wanted) if detach == SETSID else _in_window(wanted, detach)


def _alone(wanted: Start) -> int:
    argv = [sys.executable, "-I", "-S", "-c", _ALONE]
    return int(_run(argv, given=wanted.to_json()).stdout)


def _in_window(wanted: Start, detach: str) -> int:
    check(detach)
    program = find_command(detach)
    place = tempfile.mkdtemp(prefix=_PLACE)
    try:
        write_private(os.path.join(place, "order.json"), wanted.to_json(program=program))
        write_private(os.path.join(place, _PROGRAM), _WINDOW.encode())
        shower = [sys.executable, "-I", "-S", os.path.join(place, _PROGRAM)]
        _run(window_argv(program, detach, wanted.name, shower, joins=_has_session(program, detach, wanted.name)))
        return _started(place, detach)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def window_of(pid: int) -> int:
    """The process whose window shows the job ``pid``; 0 if there is none."""
    job = children.process(pid)
    return job.parent if job is not None and _is_window(job.parent) else 0


def await_closed(window: int) -> None:
    """Wait until a window whose job has ended is gone: the next one must not be put beside it while it goes."""
    deadline = time.monotonic() + _CLOSE_SECONDS
    while window and _is_window(window) and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_window(pid: int) -> bool:
    found = children.process(pid)
    return (
        found is not None and found.uid == os.geteuid()
        and f"/{_PLACE}" in found.command and found.command.endswith(f"/{_PROGRAM}")
    )


def window_argv(program: str, detach: str, name: str, argv: list[str], *, joins: bool = False) -> list[str]:
    """The command that runs ``argv`` in a window; ``joins`` adds it to a tmux session of that name."""
    if detach == SCREEN:
        return [program, "-d", "-m", "-S", name, "-t", "jupyter", *argv]
    if joins:
        return [program, "new-window", "-d", "-t", f"={name}:", "-n", "jupyter", *argv]
    return [program, "new-session", "-d", "-s", name, "-n", "jupyter", *argv]


def _has_session(program: str, detach: str, name: str) -> bool:
    """Whether the person keeps windows of their own in a tmux session of that name; screen does not mind."""
    if detach != TMUX:
        return False
    try:
        asked = subprocess.run(
            [program, "has-session", "-t", f"={name}"], env=own_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_START_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SubmitRefused(_refusal(f"{detach} did not answer within {_START_SECONDS} seconds")) from error
    return asked.returncode == 0


def _started(place: str, detach: str) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        for name in ("started", "failed"):
            path = os.path.join(place, name)
            if os.path.exists(path):
                with open(path, encoding="utf-8") as stream:
                    return _pid(name, stream.read())
        time.sleep(0.02)
    raise SubmitUnclear(f"the window of {detach} did not start the job within {_START_SECONDS} seconds")


def _pid(name: str, text: str) -> int:
    if name == "failed":
        raise SubmitRefused(_refusal(text))
    return int(text)


def _run(argv: list[str], *, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(
            argv, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if not given else subprocess.PIPE,
            env=own_environment(), timeout=_START_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SubmitUnclear(f"starting the job took longer than {_START_SECONDS} seconds") from error
    if done.returncode != 0:
        said = os.fsdecode(done.stderr or done.stdout).strip().splitlines()
        raise SubmitRefused(_refusal(said[-1] if said else f"{argv[0]} ended with {done.returncode}"))
    return done


def _refusal(words: str) -> str:
    return f"the job could not be started on {socket.gethostname()}: {words}"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine without a queue: the job is a process of this host, detached from the login that starts it.

A job's id is ``PID.SESSION@HOST``. The session is in it because process ids come round again: a job is only believed
to run while a process of that id runs the job of that session.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time

from ansible_collections.hpc.jupyter.plugins.module_utils import children
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import (
    BadInput,
    SchedulerUnavailable,
    SubmitRefused,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import detach
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import (
    GONE,
    RUNNING,
    Inside,
    Job,
    Order,
    Scheduler,
    Surroundings,
    short_host,
)

_NAME = re.compile(r"hpc-jupyter-(?P<session>.+)-[0-9a-f]{6}")
_ID = re.compile(r"(?P<pid>[1-9][0-9]*)\.(?P<session>[A-Za-z0-9][A-Za-z0-9_-]*)@(?P<host>.+)")
_COMMAND = re.compile(
    r"(?:^|[ /])(?:job\.sh|hpc-session supervise) (?P<root>/.*)/sessions/(?P<session>[A-Za-z0-9][A-Za-z0-9_-]*) \d+"
)
_EXEC_SECONDS = 1.0
_GRACE_SECONDS = 20.0
"""Longer than the supervisor takes to shut Jupyter and its kernels down."""

_GONE = (
    "its processes are gone, as after a restart of the host, or where logging out ends everything: "
    "there, loginctl enable-linger has to be allowed and run once"
)
_GRANTED = ("cpus", "memory", "gpus", "gres", "nodes", "exclusive")


class NoScheduler(Scheduler):
    """Processes of this host; with ``root`` only the sessions of that account directory are found."""

    name = "none"
    requeues = False
    keeps_time = False

    def check(self, resources: Resources) -> None:
        """Refuse what a person would believe in and nobody here can grant; ``time`` is kept by the supervisor."""
        check_resources(resources)
        detach.check(self._detach)

    def inside(self, around: Surroundings) -> Inside:
        """The job script's process: the environment's Python may be a wrapper that starts us as another one."""
        pid = around.environment.get("HPC_JUPYTER_JOB_PID", "")
        return Inside(job_id(int(pid) if pid.isdigit() else os.getpid(), session=around.session))

    def refusal(self, resources: Resources) -> str | None:  # noqa: ARG002 - ``check`` has said it all
        """There is nobody else who could refuse."""
        return ""

    def unclear_seconds(self) -> float:
        """There is no queue: only the process that starts the job may be late."""
        return 5.0

    def submit(self, order: Order) -> str:
        """Start the job in a session of its own: it outlives the login, its terminal and its connection."""
        script, session_directory = order.argv[:2]
        if not os.access(script, os.X_OK):
            raise SubmitRefused(f"{script} on {socket.gethostname()} is missing or cannot be executed")
        session = os.path.basename(session_directory)
        title = f"Session {session}. Ctrl-C ends it; detach to leave it running. What it prints is in {order.log} too."
        wanted = detach.Start(
            order.argv, order.directory, order.log, detach.own_environment(), name=order.name, title=title
        )
        return job_id(detach.start(wanted, self._detach), session=session)

    def query(self, job_id: str) -> Job:
        """Whether the job's process runs; ``SchedulerUnavailable`` on another host than the job's."""
        pid, _session, _host = _on_this_host(job_id)
        return Job(job_id, RUNNING, node=short_host()) if pid else Job(job_id, GONE, reason=_GONE)

    def find(self, name: str) -> list[Job]:
        """The running jobs of one session, found among this user's processes."""
        match = _NAME.fullmatch(name)
        wanted = match.group("session") if match else name
        table = children.processes()
        jobs = {pid for pid, process in table.items() if _is_job(process, session=wanted, root=self._root)}
        # A job's own subshells and half-started children still carry its command line.
        first = sorted(pid for pid in jobs if table[pid].parent not in jobs)
        return [Job(job_id(pid, session=wanted), RUNNING, node=short_host()) for pid in first]

    def sessions(self) -> list[tuple[str, Job]]:
        """The running jobs of every session, found among this user's processes."""
        commands = (_COMMAND.search(process.command) for process in children.processes().values())
        wanted = {match.group("session") for match in commands if match and match.group("root") == self._root}
        return [(name, job) for name in sorted(wanted) for job in self.find(name)]

    def cancel(self, job_id: str) -> None:
        """TERM, so that the supervisor cleans up; after a grace KILL. Its window is gone then, too."""
        pid, session, _host = _on_this_host(job_id)
        if not pid:
            return
        window = detach.window_of(pid)
        children.send(signal.SIGTERM, [pid])
        deadline = time.monotonic() + _GRACE_SECONDS
        while _runs(pid, session=session) and time.monotonic() < deadline:
            time.sleep(0.05)
        _kill(pid)
        detach.await_closed(window)


def check_resources(resources: Resources) -> None:
    """Refuse what a person would believe in and nobody here can grant; ``time`` is kept by the supervisor."""
    for name in ("cpus", "memory", "gpus", "gres", "partition", "project", "qos", "constraint", "reservation", "nodes",
                 "exclusive", "mail_user", "mail_type", "dependency", "extra"):
        if getattr(resources, name):
            purpose = "to grant them" if name in _GRANTED else "that knows it"
            raise BadInput(name, f"there is no scheduler here {purpose}", hint=f"Leave {name} out on this cluster")


def job_id(pid: int, *, session: str) -> str:
    """The id of the job that runs as process ``pid`` of this host."""
    return f"{pid}.{session}@{socket.gethostname()}"


def _on_this_host(given: str) -> tuple[int, str, str]:
    """Process, session and host in an id; the process is 0 if it is gone."""
    match = _ID.fullmatch(given)
    if match is None:
        raise SchedulerUnavailable(f"{given!r} is not the id of a job on a machine without a scheduler")
    host, session, pid = match.group("host"), match.group("session"), int(match.group("pid"))
    if host != socket.gethostname():
        raise SchedulerUnavailable(
            f"the session runs on {host} and can only be asked for there; this is {socket.gethostname()}"
        )
    return (pid if _runs(pid, session=session) else 0), session, host


def _runs(pid: int, *, session: str) -> bool:
    process = children.process(pid)
    deadline = time.monotonic() + _EXEC_SECONDS
    while process is not None and not process.command and time.monotonic() < deadline:
        time.sleep(0.005)  # in the moment of its start a process has no command line yet
        process = children.process(pid)
    return process is not None and _is_job(process, session=session)


def _is_job(process: children.Process, *, session: str, root: str = "") -> bool:
    match = _COMMAND.search(process.command)
    return (
        match is not None and process.uid == os.geteuid() and match.group("session") == session
        and root in ("", match.group("root"))
    )


def _kill(pid: int) -> None:
    """KILL the job if it still runs, all that descends from it, and whatever it left in its login session."""
    table = children.processes()
    left = [other for other in table if _login_session(other) == pid]
    children.send(signal.SIGKILL, [*left, *children.descendants(pid, table)])


def _login_session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a job runs on its node: it starts Jupyter, proves it, keeps the record, and cleans up.

``supervise SESSION_DIR GENERATION``. Exit codes: 0 when the session ended as it should or another one has taken its
place, 1 when it failed; the reason is in the record and on the last line of the log.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, replace

from ansible_collections.hpc.jupyter.plugins.module_utils import children, jupyter, node, probe
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import request as req
from ansible_collections.hpc.jupyter.plugins.module_utils.claim import Claim
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.jupyter import CannotStart
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.logged import LoggedChild, decisive
from ansible_collections.hpc.jupyter.plugins.module_utils.node import NodeDirectory
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.signals import Signals

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 15.0
"""How often a running session looks whether a newer one has taken its place."""
_GRACE_SECONDS = 10.0
"""For Jupyter to end its kernels; with the rest it stays below the 30 seconds that schedulers give before KILL."""
_CHILDREN_GRACE_SECONDS = 3.0
_LAST_MINUTE = 60.0
_IDLE = re.compile(r"No kernels for \d+ seconds; shutting down")
_FILE_MENU = "Shutting down on /api/shutdown request"
_TERMINATED = re.compile(r"received signal \d+, stopping")


@dataclass(frozen=True)
class End:
    """How a session ended, in the record's words."""

    how: str
    reason: str


def supervise(session_directory: str, generation: int) -> int:
    """Run the session to its end; returns the exit code."""
    os.umask(0o077)
    signals = Signals()
    children.adopt_orphans()
    claim = Claim(session_directory, generation, os.environ)
    try:
        record = claim.take()
    except HpcJupyterError as error:
        return _say(str(error), code=1)
    if record is None:
        return _say(claim.step_back, code=0)
    end = _run(claim, record, signals)
    if claim.conclude(how=end.how, reason=end.reason) is None:
        return _say("a newer session has taken this one's place; its record is left alone", code=0)
    return _say(f"session {record.session} ended ({end.how}): {end.reason}", code=1 if end.how == "failed" else 0)


def _run(claim: Claim, record: Record, signals: Signals) -> End:
    directory: NodeDirectory | None = None
    try:
        request = _request(claim)
        _check_user(record, request)
        _be_nice(request.nice)
        directory = _make_directory(claim)
        return _Session(claim, record, request, directory, signals).run()
    except (HpcJupyterError, OSError) as error:
        return End("failed", str(error))
    except Exception as error:  # noqa: BLE001 - whatever happens, the record says how the session ended
        return End("failed", f"a mistake in the supervisor: {type(error).__name__}: {error}")
    finally:
        children.end_descendants(os.getpid(), grace_seconds=_CHILDREN_GRACE_SECONDS, reap=children.reap)
        if directory is not None:
            directory.remove()


def _request(claim: Claim) -> Request:
    try:
        with open(claim.files.request, "rb") as stream:
            return req.from_json(stream.read())
    except OSError as error:
        raise CannotStart(f"{claim.files.request}: {error.strerror}. Launch the session again") from error


def _check_user(record: Record, request: Request) -> None:
    """Root's notebooks could change the whole cluster; on one's own machine that is one's own decision."""
    if os.geteuid() != 0:
        return
    if record.scheduler != "none" or request.offer != "loopback":
        raise CannotStart("refused to run as root: log in to the cluster with an account of your own")
    _say("warning: Jupyter runs as root on this machine, so does every notebook")


def _be_nice(wanted: int) -> None:
    """Stand back for others on the node; Jupyter and its kernels inherit it. Never towards the front."""
    os.nice(max(0, wanted - os.nice(0)))


def _make_directory(claim: Claim) -> NodeDirectory:
    home = os.path.expanduser("~")
    return node.make_directory(claim.files.path, temporary=node.temporary_directories(os.environ), home=home)


class _Session:
    """One Jupyter, from its start to its end."""

    def __init__(
        self, claim: Claim, record: Record, request: Request, directory: NodeDirectory, signals: Signals,
    ) -> None:
        self._claim = claim
        self._record = record
        self._request = request
        self._directory = directory
        self._signals = signals

    def run(self) -> End:
        """Start Jupyter, announce it once it is proven, and stay with it until the session is over."""
        token = self._check()
        child = self._start(token)
        try:
            target = self._prove(child, token)
            if target is None:
                return self._stopped(child)
            self._announce(target)
            return self._stay(child)
        finally:
            _shut_down(child, self._signals)

    def _check(self) -> str:
        jupyter.check_installed(sys.executable, self._request.interface)
        jupyter.check_config(_layout(self._claim).server)
        jupyter.check_base_url(self._record.base_url)
        return jupyter.check_secrets(self._claim.files)

    def _start(self, token: str) -> LoggedChild:
        start = jupyter.Start(
            python=sys.executable,
            directory=_start_directory(self._request),
            base_url=self._record.base_url,
            cookie_secret=self._claim.files.cookie_secret,
            socket=self._directory.socket if self._request.offer == "socket" else "",
            idle_seconds=self._request.idle_seconds,
            allow_root=os.geteuid() == 0,
            interface=self._request.interface,
        )
        layout = _layout(self._claim)
        environment = jupyter.environment(
            os.environ, server=layout.server, data=layout.root if os.path.isdir(layout.kernels) else "",
            config=self._directory.config, runtime=self._directory.runtime, token=self._claim.files.token,
            home=os.path.expanduser("~"),
        )
        # Python would take modules from its working directory: one of ours, not the home directory.
        directory = self._directory.runtime
        return LoggedChild(jupyter.argv(start), environment=environment, directory=directory, secret=token)

    def _prove(self, child: LoggedChild, token: str) -> probe.Target | None:
        """Where the server answers with the token and refuses without; ``None`` when asked to end meanwhile."""
        deadline = time.monotonic() + self._request.startup_seconds
        problem = "nothing listens"
        while not self._signals.stop:
            code = child.poll()
            if code is not None:
                raise CannotStart(f"Jupyter ended with {_code(code)} before it answered: {decisive(child.lines())}")
            target = self._target(child)
            problem = _problem(target, token=token) if target else problem
            if target and not problem:
                return target
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"Jupyter did not answer within {self._request.startup_seconds} seconds ({problem}): "
                    f"{decisive(child.lines())}"
                )
            self._signals.wait(_POLL_SECONDS)
        return None

    def _target(self, child: LoggedChild) -> probe.Target | None:
        """Where to ask; a port only once the listener there is known to be our own child, not somebody else's."""
        if self._request.offer == "socket":
            there = os.path.exists(self._directory.socket)
            return probe.Target(self._record.base_url, socket=self._directory.socket) if there else None
        port = probe.port_from_info(self._directory.runtime)
        ours = bool(port) and probe.listens(child.pid, port) is not False
        return probe.Target(self._record.base_url, port=port) if ours else None

    def _announce(self, target: probe.Target) -> None:
        if target.socket and os.stat(target.socket).st_mode & 0o077:
            raise CannotStart(f"Jupyter's socket {target.socket} is open to other users")
        self._claim.update(lambda record: replace(
            record, state=rec.READY, how="", reason="", socket=target.socket, port=target.port,
            host_keys=node.host_keys(), addresses=node.addresses(), jupyter_version=_version(target),
            page=jupyter.page(self._request.interface),
        ))
        _say(f"session {self._record.session} is ready on {self._record.node}")

    def _stay(self, child: LoggedChild) -> End:
        limit = self._own_limit()
        look_at = time.monotonic() + _LOOK_SECONDS
        while child.poll() is None:
            if self._signals.stop:
                return self._stopped(child)
            if time.time() > limit:
                return End("time limit", f"the session's time of {self._request.resources.time} is over")
            if time.monotonic() > look_at:
                look_at = time.monotonic() + _LOOK_SECONDS
                if self._claim.is_superseded():
                    return End("superseded", "a newer session has taken this one's place")
            self._signals.wait(min(look_at - time.monotonic(), limit - time.time()))
        return self._ended_by_itself(child)

    def _own_limit(self) -> float:
        """Where there is no scheduler that ends the session in time, we do."""
        ends = self._record.scheduler == "none" and self._claim.ends_at
        return ends if ends else float("inf")

    def _stopped(self, child: LoggedChild) -> End:
        ends_at = self._claim.ends_at
        _shut_down(child, self._signals)
        if ends_at and time.time() > ends_at - _LAST_MINUTE:
            return End("time limit", "the job's time is over")
        return End("stopped", "stopped on request")

    def _ended_by_itself(self, child: LoggedChild) -> End:
        code, said = child.poll() or 0, child.lines()
        # Schedulers signal every process of a job at once, so Jupyter may be gone before our own signal is seen.
        self._signals.wait(_POLL_SECONDS)
        if self._signals.stop or (code == 0 and any(_TERMINATED.search(line) for line in said[-20:])):
            return self._stopped(child)
        if code != 0:
            return End("failed", f"Jupyter ended with {_code(code)}: {decisive(said)}")
        if any(_IDLE.search(line) for line in said[-20:]):
            return End("idle", f"nobody used it for {self._request.idle_seconds} seconds")
        asked = any(_FILE_MENU in line for line in said[-20:])
        return End("finished", "shut down from Jupyter's menu" if asked else "Jupyter ended by itself")


def _problem(target: probe.Target, *, token: str) -> str:
    """What is still missing for the server to be believed; empty when it lets the owner in and nobody else."""
    try:
        with_token = probe.get(target, "api/status", token=token)
        without = probe.get(target, "api/status")
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    if without.status == 200:
        raise CannotStart("Jupyter lets people in without a token, so it was shut down: a configuration file opens it")
    if with_token.status in (401, 403):
        raise CannotStart("Jupyter does not accept the session's token: a configuration file sets another one")
    return "" if with_token.status == 200 and without.status in (302, 401, 403) else f"HTTP status {with_token.status}"


def _version(target: probe.Target) -> str:
    found = re.search(rb'"version"\s*:\s*"([\w.+-]{1,40})"', probe.get(target, "api").body)
    return found.group(1).decode("ascii") if found else ""


def _shut_down(child: LoggedChild, signals: Signals) -> None:
    """TERM and a grace, so that Jupyter ends its kernels; then KILL. One that has ended already is fine."""
    child.send(signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        signals.wait(_POLL_SECONDS)
    child.kill()
    while child.poll() is None and time.monotonic() < deadline + 2:
        signals.wait(_POLL_SECONDS)


def _start_directory(request: Request) -> str:
    path = os.path.expanduser(request.directory or "~")
    if not os.path.isdir(path):
        raise BadInput("directory", f"{path} is not a directory on this node")
    if not os.access(path, os.R_OK | os.X_OK):
        raise BadInput("directory", f"{path} cannot be read")
    return path


def _layout(claim: Claim) -> Layout:
    return Layout(os.path.dirname(os.path.dirname(claim.files.path)))


def _code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in [number.value for number in signal.Signals] else str(-code)
    return f"signal {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _say(text: str, *, code: int = 0) -> int:
    """One line in the job's log."""
    stream = sys.stderr if code else sys.stdout
    stream.write(f"hpc-jupyter: {text}\n")
    stream.flush()
    return code

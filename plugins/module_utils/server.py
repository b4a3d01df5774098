# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One Jupyter server: started, proven to let its owner in and nobody else, and shut down."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import certificate, floors, foreign_config, jupyter, probe
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.jupyter import CannotStart
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.logged import LoggedChild, decisive
from ansible_collections.hpc.jupyter.plugins.module_utils.node import NodeDirectory
from ansible_collections.hpc.jupyter.plugins.module_utils.offering import Listening
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.signals import Signals

POLL_SECONDS = 0.05
_LOOK_SECONDS = 0.02
"""For a server that starts: looking whether it listens costs next to nothing."""
_GRACE_SECONDS = 10.0
"""For Jupyter to end its kernels; with the rest it stays below the 30 seconds that schedulers give before KILL."""


_ELSEWHERE = "elsewhere.invalid"


@dataclass(frozen=True)
class Place:
    """What all servers of one session have in common."""

    files: SessionFiles
    request: Request
    base_url: str
    directory: NodeDirectory

    @property
    def layout(self) -> Layout:
        """The account's directory."""
        return Layout(os.path.dirname(os.path.dirname(self.files.path)))

    @property
    def pair(self) -> certificate.Pair:
        """The account's certificate."""
        return certificate.Pair(self.layout.server)

    def check(self) -> str:
        """The token, once all that a server needs is known to be whole; raises ``CannotStart``."""
        allow_old = floors.are_allowed(self.layout.environment_script)
        jupyter.check_installed(sys.executable, self.request.interface, allow_old=allow_old)
        jupyter.check_config(self.layout.server)
        _check_foreign_config()
        jupyter.check_base_url(self.base_url)
        _start_directory(self.request)
        return jupyter.check_secrets(self.files)


class Server:
    """One Jupyter that runs, from its start to its end."""

    def __init__(self, place: Place, listening: Listening, *, token: str, signals: Signals) -> None:
        self.listening = listening
        self._place = place
        self._token = token
        self._signals = signals
        self._child = _start(place, listening, token=token)

    def poll(self) -> int | None:
        """The exit code, once it has ended."""
        return self._child.poll()

    def lines(self) -> list[str]:
        """The last lines that it printed."""
        return self._child.lines()

    def prove(self) -> probe.Target | None:
        """Where the server answers with the token and refuses without; ``None`` when asked to end meanwhile."""
        seconds = self._place.request.startup_seconds
        deadline = time.monotonic() + seconds
        problem = "nothing listens"
        probe.load()
        while not self._signals.stop:
            code = self.poll()
            if code is not None:
                words = decisive(self.lines())
                raise CannotStart(f"Jupyter ended with {code_text(code)} before it answered: {words}")
            target = self._target()
            problem = _problem(target, token=self._token) if target else problem
            if target and not problem:
                return _private(target)
            if time.monotonic() > deadline:
                words = decisive(self.lines())
                raise CannotStart(f"Jupyter did not answer within {seconds} seconds ({problem}): {words}")
            self._signals.wait(POLL_SECONDS if target else _LOOK_SECONDS)
        return None

    def _target(self) -> probe.Target | None:
        """Where to ask; a port only once the listener there is known to be our own child, not somebody else's."""
        wanted, base_url = self.listening, self._place.base_url
        if wanted.socket:
            there = os.path.exists(wanted.socket)
            return probe.Target(base_url, socket=wanted.socket, tls_sha256=wanted.tls_sha256) if there else None
        port = probe.port_from_info(self._place.directory.runtime)
        ours = bool(port) and probe.listens(self._child.pid, port) is not False
        return probe.Target(base_url, port=port, address=wanted.address, tls_sha256=wanted.tls_sha256) if ours else None

    def in_use(self) -> bool:
        """Whether somebody has a kernel, a terminal or an open page that a new server would end."""
        target = self._target()
        if self.poll() is not None or target is None:
            return False
        try:
            status = probe.get(target, "api/status", token=self._token)
            terminals = probe.get(target, "api/terminals", token=self._token)
        except OSError:
            return True  # one that is too busy to answer is in use
        counted = _json(status.body, {})
        return bool(counted.get("kernels", 1) or counted.get("connections", 1) or _json(terminals.body, []))

    def shut_down(self) -> None:
        """TERM and a grace, so that Jupyter ends its kernels; then KILL. One that has ended already is fine."""
        self._child.send(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while self.poll() is None and time.monotonic() < deadline:
            self._signals.wait(POLL_SECONDS)
        self._child.kill()
        while self.poll() is None and time.monotonic() < deadline + 2:
            self._signals.wait(POLL_SECONDS)


def _start(place: Place, listening: Listening, *, token: str) -> LoggedChild:
    _forget_former(place.directory)
    tls, pair = bool(listening.tls_sha256), certificate.copied(place.directory.certificates, listening.tls_sha256)
    start = jupyter.Start(
        python=sys.executable,
        directory=_start_directory(place.request),
        base_url=place.base_url,
        cookie_secret=place.files.cookie_secret,
        socket=listening.socket,
        address=listening.address,
        port=listening.port,
        certificate=pair.certificate if tls else "",
        key=pair.key if tls else "",
        idle_seconds=place.request.idle_seconds,
        allow_root=os.geteuid() == 0,
        interface=place.request.interface,
    )
    layout = place.layout
    environment = jupyter.environment(
        os.environ, server=layout.server, data=layout.root if os.path.isdir(layout.kernels) else "",
        config=place.directory.config, runtime=place.directory.runtime, token=place.files.token,
        home=os.path.expanduser("~"),
    )
    # Python would take modules from its working directory: one of ours, not the home directory.
    directory = place.directory.runtime
    return LoggedChild(jupyter.argv(start), environment=environment, directory=directory, secret=token)


def _forget_former(directory: NodeDirectory) -> None:
    """What a server that was killed has left would be taken for its successor's."""
    for path in (directory.socket, *glob.glob(os.path.join(glob.escape(directory.runtime), "jpserver-*"))):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _private(target: probe.Target) -> probe.Target:
    if target.socket and os.stat(target.socket).st_mode & 0o077:
        raise CannotStart(f"Jupyter's socket {target.socket} is open to other users")
    return target


def _problem(target: probe.Target, *, token: str) -> str:
    """What is still missing for the server to be believed; empty when it lets the owner in and nobody else."""
    try:
        with_token = probe.get(target, "api/status", token=token)
        without = probe.get(target, "api/status")
    except OSError as error:
        return _said(error)
    if without.status == 200:
        raise CannotStart("Jupyter lets people in without a token, so it was shut down: a configuration file opens it")
    if with_token.status in (401, 403):
        raise CannotStart("Jupyter does not accept the session's token: a configuration file sets another one")
    if with_token.status != 200 or without.status not in (302, 401, 403):
        return f"HTTP status {with_token.status}"
    return _open_door(target, token=token, cookies=with_token.cookies)


def _open_door(target: probe.Target, *, token: str, cookies: str) -> str:
    """Raise ``CannotStart`` where a web page that the person looks at could send requests and be heard."""
    page = {"Cookie": cookies} if cookies else {}
    doors = (
        ("GET", "api/status", token, {"Host": _ELSEWHERE}, "requests made out to another host"),
        ("GET", "api/status", "", {**page, "Origin": f"http://{_ELSEWHERE}"}, "requests of another origin's pages"),
        # There is nothing to post to: past the check for a forged request it would be 405.
        ("POST", "api/kernelspecs", "", page, "requests forged by another page"),
    )
    for method, path, secret, headers, what in doors:
        try:
            status = probe.ask(target, method, path, token=secret, headers=headers).status
        except OSError as error:
            return _said(error)
        if status not in (302, 401, 403, 404):
            raise CannotStart(f"Jupyter takes {what}, so it was shut down: a configuration file opens it")
    return ""


def _said(error: OSError) -> str:
    return str(error) if isinstance(error, probe.BadAnswer) else f"{type(error).__name__}: {error}"


def version(target: probe.Target) -> str:
    """The version that the server names; empty where it takes too long to, for nothing depends on it."""
    try:
        body = probe.get(target, "api").body
    except OSError:
        return ""
    found = re.search(rb'"version"\s*:\s*"([\w.+-]{1,40})"', body)
    return found.group(1).decode("ascii") if found else ""


def _check_foreign_config() -> None:
    """Raise ``CannotStart`` for what wins over us; say what does not, so that nobody wonders why it has no effect."""
    found = foreign_config.settings(foreign_config.directories())
    problems = foreign_config.problems(found)
    if problems:
        raise CannotStart(problems[0])
    for line in foreign_config.unheeded(found, settled=jupyter.SETTLED):
        sys.stdout.write(f"hpc-jupyter: {line}\n")


def _start_directory(request: Request) -> str:
    path = os.path.expanduser(request.directory or "~")
    if not os.path.isdir(path):
        raise BadInput("directory", f"{path} is not a directory on this node")
    if not os.access(path, os.R_OK | os.X_OK):
        raise BadInput("directory", f"{path} cannot be read")
    return path


def code_text(code: int) -> str:
    """An exit code or a signal in words."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in [number.value for number in signal.Signals] else str(-code)
    return f"signal {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _json(body: bytes, empty: Any) -> Any:
    """What ``body`` holds if that is of the kind of ``empty``."""
    try:
        found = json.loads(body.decode("utf-8"))
    except ValueError:
        return empty
    return found if isinstance(found, type(empty)) else empty

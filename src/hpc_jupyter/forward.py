"""The forward: what makes a local port reach a session, proven by an authenticated request.

It is an ssh process of its own or, where it leads to the login host, one more listener of the login master.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import tempfile
import time
from itertools import pairwise
from typing import IO

from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import cancel, control, listens, master_pid
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import NOBODY, Process, identify

from hpc_jupyter.errors import NoForward
from hpc_jupyter.listener import is_ours
from hpc_jupyter.probe import ANSWER_SECONDS, Answer, ask, load
from hpc_jupyter.route import LISTENS, Route

__all__ = ["Answer", "Forward", "PortTaken", "SshFailed", "ask", "begin", "is_free", "proven"]

LOGIN_SECONDS = 60.0
_PROBE_SECONDS = 20.0
_RIDING_PROBE_SECONDS = 8.0
_PAUSE_SECONDS = 0.05
_LOOK_SECONDS = 0.5
"""Where there is no /proc, each look at another process is a process of its own."""
_TAKEN = re.compile(r"Address already in use|cannot listen to port|Could not request local forwarding", re.IGNORECASE)
_NONE_LISTENS = re.compile("Could not request local forwarding")
_NOT_LISTENING = re.compile(r"cannot listen to port: (\d+)")
_REFUSED = re.compile(r"open failed: (?:administratively prohibited|connect failed)[^\n]*")


class PortTaken(NoForward):
    """Somebody listens on the local port already."""


class SshFailed(NoForward):
    """ssh ended or could not forward; ``stderr`` is what it said."""

    def __init__(self, stderr: str) -> None:
        self.stderr = stderr
        super().__init__(stderr.strip() or "ssh ended without a word")


class Forward:
    """A running forward."""

    route: Route
    process: Process = NOBODY
    master: Process = NOBODY
    patience = _PROBE_SECONDS

    @property
    def is_alive(self) -> bool:
        """Whether what forwards still runs."""
        raise NotImplementedError

    @property
    def has_port(self) -> bool:
        """Whether the local port is this forward's, as far as this system tells."""
        return self.is_alive and is_ours(self.route.port)

    @property
    def stderr(self) -> str:
        """What ssh has said so far."""
        raise NotImplementedError

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until it ends; whether it still runs."""
        raise NotImplementedError

    def await_listener(self, seconds: float) -> None:
        """Wait until ssh itself listens, so that the token is never sent to anybody else's port.

        Raises ``PortTaken`` or ``SshFailed``.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End it."""
        raise NotImplementedError

    def ask(self, token: str, *, seconds: float = ANSWER_SECONDS) -> Answer:
        """Ask the session itself, through the forward; a listener that is not ours is shown no token."""
        if not self.has_port:
            return Answer(ok=False, reason=f"nothing of yours listens on port {self.route.port} of this machine")
        return ask(self.route.url, token, sha256=self.route.sha256, seconds=seconds)

    def prove(self, token: str, *, seconds: float = LOGIN_SECONDS) -> None:
        """Ask until the session answers; raises ``NoForward`` or ``SshFailed`` if it does not."""
        deadline = time.monotonic() + min(self.patience, seconds)
        while True:
            answer = self.ask(token, seconds=min(ANSWER_SECONDS, seconds))
            if answer.ok:
                return
            self._check_alive()
            if _REFUSED.search(self.stderr):
                raise SshFailed(self.stderr)
            if answer.final or time.monotonic() > deadline:
                raise NoForward(self._unproven(answer))
            time.sleep(4 * _PAUSE_SECONDS)

    def _unproven(self, answer: Answer) -> str:
        return f"the forward is up, but {answer.reason}"

    def _check_alive(self) -> None:
        if self.is_alive:
            return
        text = self.stderr
        raise PortTaken(text) if _TAKEN.search(text) else SshFailed(text)


class OwnSsh(Forward):
    """An ssh process. It has a session (in the kernel's sense) of its own, so that Ctrl-C does not reach it."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._ssh = subprocess.Popen(
                route.argv,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._errors,
                start_new_session=True,
                # BatchMode does not reach the jumps: one whose master has just gone would open a window and ask.
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
            )
        except FileNotFoundError as error:
            self._forget()
            raise NoForward("there is no ssh program on this machine. Install OpenSSH's client") from error
        self.process = identify(self._ssh.pid)

    @property
    def is_alive(self) -> bool:
        """Whether ssh still runs."""
        return self._ssh.poll() is None

    @property
    def stderr(self) -> str:
        """What ssh has said so far."""
        return _content(self._errors)

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until ssh ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._ssh.wait(timeout=seconds)
        return self.is_alive

    def await_listener(self, seconds: float) -> None:
        """Wait for the word that ssh prints once it listens."""
        deadline = time.monotonic() + seconds
        while LISTENS not in _content(self._output):
            self._check_alive()
            if time.monotonic() > deadline:
                raise SshFailed(f"{self.stderr}\nssh did not get through within {seconds:.0f} seconds")
            time.sleep(_PAUSE_SECONDS)
        self._check_listens()

    def _check_listens(self) -> None:
        """ssh goes on where it could not listen on one of several ports; it says so before it says that it is up."""
        text = self.stderr
        listens = [words[1].split(":")[1] for words in pairwise(self.route.argv) if words[0] == "-L"]
        if _NONE_LISTENS.search(text) or set(listens) & set(_NOT_LISTENING.findall(text)):
            raise PortTaken(text)

    def close(self) -> None:
        """End ssh, its jump processes with it."""
        if self.is_alive:
            self._ssh.terminate()
            if self.wait(3.0):
                self._ssh.kill()
                self._ssh.wait(timeout=3.0)
        self._forget()

    def _forget(self) -> None:
        self._output.close()
        self._errors.close()


class Riding(Forward):
    """Listeners of the login master; they are there when it says so."""

    patience = _RIDING_PROBE_SECONDS
    _closed = False

    def __init__(self, route: Route, master: str) -> None:
        self.route = route
        self._path = master
        self.master = identify(master_pid(master))
        if not self.master.is_alive:
            raise SshFailed("the connection to the login host is gone")
        try:
            done = control(master, "forward", listens(route.rides))
        except subprocess.TimeoutExpired as error:
            raise SshFailed("the connection to the login host does not answer") from error
        if done.returncode != 0:
            self.close()
            raise PortTaken(done.stderr.decode("utf-8", "replace").strip())

    @property
    def is_alive(self) -> bool:
        """Whether the very master that was asked is still there, and was not asked to take the listeners away."""
        return not self._closed and self.master.is_alive

    @property
    def stderr(self) -> str:
        """What the master says goes to the log of nobody."""
        return "" if self.is_alive else "the connection to the login host ended"

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until the master ends."""
        deadline = time.monotonic() + seconds
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(max(0.0, min(_LOOK_SECONDS, deadline - time.monotonic())))
        return self.is_alive

    def await_listener(self, seconds: float) -> None:
        """Nothing to wait for: the master has bound the port before it answered."""

    def _unproven(self, answer: Answer) -> str:
        if answer.final:
            return super()._unproven(answer)
        leads_to = self.route.rides[0].split(":", 2)[2]
        return f"the login host does not get through to {leads_to}: {answer.reason}"

    def close(self) -> None:
        """Take the listeners away; the master stays for others."""
        there, self._closed = self.is_alive, True
        with contextlib.suppress(subprocess.TimeoutExpired):
            if there:
                cancel(self._path, self.route.rides)


def begin(route: Route, *, master: str = "") -> Forward:
    """A forward that nobody has waited for yet; ``master`` is the socket of the login master."""
    return Riding(route, master) if route.rides else OwnSsh(route)


def proven(begun: Forward, *, token: str, seconds: float = LOGIN_SECONDS) -> Forward:
    """``begun``, once the session has answered through it; on any failure it is ended."""
    try:
        load()
        begun.await_listener(seconds)
        begun.prove(token, seconds=seconds)
    except BaseException:
        begun.close()
        raise
    return begun


def is_free(port: int) -> bool:
    """Whether this machine's 127.0.0.1 has ``port`` free, as ssh would find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _content(stream: IO[bytes]) -> str:
    """What was written so far, without moving the position that the writer shares."""
    return os.pread(stream.fileno(), 65536, 0).decode("utf-8", "replace")

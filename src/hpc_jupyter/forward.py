"""The forward: one ssh process that makes a local port reach a session, proven by an authenticated request."""

from __future__ import annotations

import contextlib
import http
import os
import re
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

from hpc_jupyter.errors import NoForward
from hpc_jupyter.processes import Process, identify
from hpc_jupyter.route import LISTENS, Route

_LOGIN_SECONDS = 60.0
_PROBE_SECONDS = 20.0
_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
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


@dataclass(frozen=True)
class Answer:
    """What a session's address answers: ``ok``, or why not; ``final`` if asking again would not help."""

    ok: bool
    reason: str = ""
    final: bool = False


class Forward:
    """A running forward. It has a session (in the kernel's sense) of its own, so that Ctrl-C does not reach it."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._ssh = subprocess.Popen(
                route.argv, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors, start_new_session=True
            )
        except FileNotFoundError as error:
            self._forget()
            raise NoForward("there is no ssh program on this machine. Install OpenSSH's client") from error

    @property
    def process(self) -> Process:
        """The ssh process."""
        return identify(self._ssh.pid)

    @property
    def is_alive(self) -> bool:
        """Whether ssh still runs."""
        return self._ssh.poll() is None

    @property
    def stderr(self) -> str:
        """What ssh has said so far."""
        return _content(self._errors)

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until ssh ends; whether it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._ssh.wait(timeout=seconds)
        return self.is_alive

    def await_listener(self) -> None:
        """Wait until ssh itself listens, so that the token is never sent to anybody else's port.

        Raises ``PortTaken`` or ``SshFailed``.
        """
        deadline = time.monotonic() + _LOGIN_SECONDS
        while LISTENS not in _content(self._output):
            self._check_alive()
            if time.monotonic() > deadline:
                raise SshFailed(f"{self.stderr}\nssh did not get through within {_LOGIN_SECONDS:.0f} seconds")
            time.sleep(_PAUSE_SECONDS)
        self._check_listens()

    def _check_listens(self) -> None:
        """ssh goes on where it could not listen on one of several ports; it says so before it says that it is up."""
        text = self.stderr
        listens = [words[1].split(":")[1] for words in pairwise(self.route.argv) if words[0] == "-L"]
        if _NONE_LISTENS.search(text) or set(listens) & set(_NOT_LISTENING.findall(text)):
            raise PortTaken(text)

    def prove(self, token: str) -> None:
        """Ask the session itself, through the forward; raises ``NoForward`` or ``SshFailed`` if it does not answer."""
        deadline = time.monotonic() + _PROBE_SECONDS
        while True:
            answer = ask(self.route.url, token)
            if answer.ok:
                return
            self._check_alive()
            refused = _REFUSED.search(self.stderr)
            if refused:
                raise SshFailed(self.stderr)
            if answer.final or time.monotonic() > deadline:
                raise NoForward(f"the forward is up, but {answer.reason}")
            time.sleep(4 * _PAUSE_SECONDS)

    def close(self) -> None:
        """End ssh, its jump processes with it."""
        if self.is_alive:
            self._ssh.terminate()
            if self.wait(3.0):
                self._ssh.kill()
                self._ssh.wait(timeout=3.0)
        self._forget()

    def _check_alive(self) -> None:
        if self.is_alive:
            return
        text = self.stderr
        raise PortTaken(text) if _TAKEN.search(text) else SshFailed(text)

    def _forget(self) -> None:
        self._output.close()
        self._errors.close()


def open_forward(route: Route, *, token: str) -> Forward:
    """A proven forward; on any failure nothing is left running."""
    forward = Forward(route)
    try:
        forward.await_listener()
        forward.prove(token)
    except BaseException:
        forward.close()
        raise
    return forward


def ask(url: str, token: str, *, seconds: float = _ANSWER_SECONDS) -> Answer:
    """Ask a session for its status, with its token; this does not count as activity there."""
    import urllib3

    try:
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(seconds))
        headers = {"Authorization": f"token {token}"}
        response = pool.request("GET", f"{url}api/status", headers=headers, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        return Answer(ok=False, reason=f"nothing answers at {url} ({type(error).__name__})")
    return _judge(response.status, response.data, url)


def _judge(status: int, body: bytes, url: str) -> Answer:
    if status == http.HTTPStatus.OK and b'"started"' in body:
        return Answer(ok=True)
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return Answer(ok=False, reason=f"what answers at {url} does not take the session's token", final=True)
    return Answer(ok=False, reason=f"what answers at {url} is not the session (HTTP {status})")


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

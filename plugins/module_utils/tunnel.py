# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: an ssh from the node that makes a socket on the login host which leads to Jupyter's own.

Where that host's sshd does not forward sockets, a port of its 127.0.0.1 takes the socket's place.
"""

from __future__ import annotations

import collections
import os
import re
import secrets
import signal
import time
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.logged import LoggedChild
from ansible_collections.hpc.jupyter.plugins.module_utils.wishes import Landing

_ALIAS = "hpc-jupyter-login-host"
"""What the host is called in our own file of known keys, whichever name or address leads to it."""
_CONNECT_SECONDS = 8
_OPENING_SECONDS = 15.0
_PAUSES = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
_USUAL_PORT = 22
_ALLOCATED = re.compile(r"^Allocated port (\d+) for remote forward", re.MULTILINE)
_SUCCESS = re.compile(r"^debug1: remote forward success", re.MULTILINE)
_REFUSED = re.compile(r"remote port forwarding failed", re.MULTILINE)
_MET = re.compile(r"^debug1: Connection established")
_CHATTER = ("debug", "OpenSSH_", "Authenticated to", "Warning: Permanently", "Transferred:", "Bytes per second")


@dataclass(frozen=True)
class Opened:
    """Where the way back begins on the login host: ``socket``, or else ``port`` of 127.0.0.1."""

    socket: str = ""
    port: int = 0


@dataclass(frozen=True)
class _Attempt:
    host: str
    port: int
    by_port: bool
    socket: str

    @property
    def where(self) -> str:
        return self.host if self.port == _USUAL_PORT else f"{self.host}, port {self.port}"


class Tunnel:
    """The way back to ``socket`` over ``landing``; ``poll`` keeps it open."""

    def __init__(
        self, landing: Landing, *, ssh: str, key: str, socket: str, environment: Mapping[str, str]
    ) -> None:
        self.opened: Opened | None = None
        self.problem = ""
        """Why the last attempt failed."""
        self.failed_rounds = 0
        """How often every way to the login host was tried in vain."""
        self._landing = landing
        self._ssh = ssh
        self._key = key
        self._socket = socket
        self._environment = environment
        self._known_hosts = os.path.join(os.path.dirname(socket), "known_hosts")
        self.by_port = False
        """Whether a port takes the socket's place, once it has been open."""
        self._decided = False
        self._met = False
        self._waiting: collections.deque[_Attempt] = collections.deque()
        self._attempt: _Attempt | None = None
        self._child: LoggedChild | None = None
        self._deadline = 0.0
        self._next_at = 0.0

    def poll(self) -> bool:
        """Take the next step; whether the way back has been opened by it."""
        if self._child is None:
            if time.monotonic() >= self._next_at:
                self._try()
            return False
        over = self._child.poll() is not None
        if self.opened is not None:
            if over:
                self._lost()
            return False
        self.opened = self._found()
        if self.opened is None and (over or time.monotonic() > self._deadline):
            self._failed()
        return self.opened is not None

    def close(self) -> None:
        """End the ssh; the socket on the login host leads nowhere then."""
        if self._child is not None:
            self._child.send(signal.SIGTERM)
            self._child = None
        self.opened = None

    def _try(self) -> None:
        try:
            self._begin()
        except OSError as error:
            self.problem = str(error)
            self._waiting.clear()
            self._pause()

    def _pause(self) -> None:
        self.failed_rounds += 1
        self._next_at = time.monotonic() + _PAUSES[min(self.failed_rounds, len(_PAUSES)) - 1]

    def _begin(self) -> None:
        if not self._waiting:
            self._waiting.extend(self._attempts())
            self._met = False
        self._attempt = self._waiting.popleft()
        lines = [f"{_ALIAS} {key}\n" for key in self._landing.host_keys]
        write_private(self._known_hosts, "".join(lines).encode("ascii"))
        command = argv(
            self._ssh, key=self._key, known_hosts=self._known_hosts, host=self._attempt.host, port=self._attempt.port,
            listen=self._attempt.socket or "127.0.0.1:0", to=self._socket,
        )
        directory = os.path.dirname(self._socket)
        self._child = LoggedChild(command, environment=self._environment, directory=directory, echo=False)
        self._deadline = time.monotonic() + _OPENING_SECONDS

    def _attempts(self) -> Iterable[_Attempt]:
        hosts = dict.fromkeys([self._landing.host, *self._landing.addresses])
        ports = dict.fromkeys([self._landing.port, _USUAL_PORT])
        for port in ports:
            for host in hosts:
                yield self._new(host, port, by_port=self.by_port)

    def _new(self, host: str, port: int, *, by_port: bool) -> _Attempt:
        """With a path of its own: what an earlier attempt has left there would be in the way."""
        path = "" if by_port else os.path.join(self._landing.directory, f"{secrets.token_hex(4)}.s")
        return _Attempt(host, port, by_port, path)

    def _found(self) -> Opened | None:
        if self._child is None or self._attempt is None:
            return None
        said = "\n".join(self._child.lines())
        if not self._attempt.by_port:
            found = Opened(socket=self._attempt.socket) if _SUCCESS.search(said) else None
        else:
            allocated = _ALLOCATED.search(said)
            found = Opened(port=int(allocated.group(1))) if allocated else None
        if found is not None:
            self.failed_rounds, self.problem, self._decided, self.by_port = 0, "", True, self._attempt.by_port
            self._waiting.clear()
        return found

    def _failed(self) -> None:
        if self._child is None or self._attempt is None:
            return
        said = self._child.lines()
        self.close()
        refused = any(_REFUSED.search(line) for line in said)
        if not self._met:
            # What an sshd has said tells more than that nobody answers under another address.
            self.problem = reason(said, where=self._attempt.where, refused=refused)
        self._met = self._met or (any(_MET.search(line) for line in said) and not refused)
        if refused:
            # The login lets us in: no other address of the same host would do better.
            self._waiting.clear()
            if not self._attempt.by_port and not self._decided:
                self._waiting.append(self._new(self._attempt.host, self._attempt.port, by_port=True))
        if not self._waiting:
            self._pause()

    def _lost(self) -> None:
        self.close()
        self._waiting.clear()
        self._next_at = time.monotonic() + _PAUSES[0]


def argv(ssh: str, *, key: str, known_hosts: str, host: str, port: int, listen: str, to: str) -> list[str]:
    """The ssh that makes ``listen`` on the login host lead to ``to``; it reads no configuration but these options."""
    options = {
        "IdentitiesOnly": "yes", "IdentityAgent": "none", "BatchMode": "yes", "ExitOnForwardFailure": "yes",
        "PreferredAuthentications": "publickey", "StrictHostKeyChecking": "yes", "UserKnownHostsFile": known_hosts,
        "GlobalKnownHostsFile": "/dev/null", "HostKeyAlias": _ALIAS, "CheckHostIP": "no", "UpdateHostKeys": "no",
        "ConnectTimeout": str(_CONNECT_SECONDS), "ServerAliveInterval": "15", "ServerAliveCountMax": "3",
        "Port": str(port),
    }
    named = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
    # Only with -v does ssh say that the other side has agreed.
    return [ssh, "-v", "-a", "-x", "-T", "-N", "-F", "none", "-i", key, *named, "-R", f"{listen}:{to}", "--", host]


def reason(said: Sequence[str], *, where: str, refused: bool) -> str:
    """Why an attempt failed, in words for the user."""
    text = "\n".join(said)
    if refused:
        return f"sshd of {where} refuses the way back (AllowStreamLocalForwarding, AllowTcpForwarding)"
    if "Permission denied" in text:
        return f"sshd of {where} does not let the account's key for the way back in: run the playbook hpc.jupyter.setup"
    if "Host key verification failed" in text:
        return f"{where} has another host key than the login host that the session was asked from"
    words = [line.strip() for line in said if line.strip() and not line.startswith(_CHATTER)]
    return f"{where} cannot be reached by ssh from the node: {words[-1] if words else 'no answer'}"

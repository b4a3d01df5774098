# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Route ``step``: an sshd of the person's own, inside the job, that speaks over a step's standard input and output.

It lets one key in, to the session's own socket; to no other socket, no port, no terminal and no command.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles
from ansible_collections.hpc.jupyter.plugins.module_utils.run import find_command, run

_SBIN = "/usr/sbin:/usr/local/sbin:/sbin"
_SECONDS = 30
_KINDS = r"ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-[a-z0-9-]+@openssh\.com"
_KEY = re.compile(rf"(?:{_KINDS}) AAAA[A-Za-z0-9+/]+={{0,2}}")
_SOCKET = re.compile(r"(?:/[A-Za-z0-9._-]+)+")
_PLAIN_PATH = re.compile(r'[^"\n\r%\\]+')


class NoStep(HpcJupyterError):
    """The session cannot be reached by a step."""


def prepare(files: SessionFiles, *, environment: Mapping[str, str]) -> str:
    """On the node: make the session's fresh host key and return its public half; raises ``NoStep`` without an sshd."""
    shutil.rmtree(files.step, ignore_errors=True)
    sshd = shutil.which("sshd", path=f"{environment.get('PATH', '')}:{_SBIN}")
    if sshd is None:
        raise NoStep("there is no sshd on the node")
    make_private_directory(files.step)
    key = os.path.join(files.step, "host_key")
    _must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key])
    with open(f"{key}.pub", encoding="ascii") as stream:
        public = " ".join(stream.read().split()[:2])
    # Any key and socket will do: what counts is whether this sshd takes such a configuration.
    _must([sshd, "-t", "-f", write_config(files, key=public, socket="/tmp/s", permit=())])  # noqa: S108
    os.symlink(os.path.realpath(sshd), _sshd_link(files))
    return public


def _must(argv: Sequence[str]) -> None:
    try:
        done = run(argv, timeout_seconds=_SECONDS)
    except OSError as error:
        raise NoStep(str(error)) from error
    if done.code != 0:
        raise NoStep(f"{os.path.basename(argv[0])}: {(done.err.strip().splitlines() or ['it failed'])[-1]}")


def _sshd_link(files: SessionFiles) -> str:
    return os.path.join(files.step, "sshd")


def server(files: SessionFiles, *, key: str, socket: str, permit: Sequence[int]) -> list[str]:
    """The sshd to run in a step; ``key`` alone may log in, to ``socket`` and to ports ``permit`` of 127.0.0.1."""
    try:
        sshd = os.readlink(_sshd_link(files))
    except OSError as error:
        raise NoStep("the session has prepared no sshd: stop it and launch it again") from error
    return [sshd, "-i", "-e", "-f", write_config(files, key=key, socket=socket, permit=permit)]


def write_config(files: SessionFiles, *, key: str, socket: str, permit: Sequence[int]) -> str:
    """The configuration's file, named by what is in it: whoever asks for the same finds the same."""
    name = hashlib.sha256(repr((key, socket, tuple(permit))).encode()).hexdigest()[:16]
    path = os.path.join(files.step, name)
    write_private(f"{path}.pub", f"{check_key(key)}\n".encode("ascii"))
    text = config(host_key=os.path.join(files.step, "host_key"), keys=f"{path}.pub", socket=socket, permit=permit)
    write_private(f"{path}.conf", text.encode())
    return f"{path}.conf"


def check_key(value: str) -> str:
    """One public key, ``TYPE BASE64``."""
    if _KEY.fullmatch(value) is None:
        raise BadInput("key", f"{value!r} is not a public key", hint="Write its type and its base64 part alone")
    return value


def config(*, host_key: str, keys: str, socket: str, permit: Sequence[int]) -> str:
    """What sshd_config says. ``PermitOpen`` is a socket's limit as well, if it is written like a host in brackets."""
    if _SOCKET.fullmatch(socket) is None or not all(_PLAIN_PATH.fullmatch(path) for path in (host_key, keys)):
        raise NoStep(f"sshd cannot be told of a path such as {socket} or {host_key}")
    opened = " ".join([f"[{socket}]:*", *(f"127.0.0.1:{port}" for port in permit)])
    settings = {
        "HostKey": f'"{host_key}"', "AuthorizedKeysFile": f'"{keys}"', "AuthenticationMethods": "publickey",
        "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "UsePAM": "no", "StrictModes": "no",
        "AllowStreamLocalForwarding": "local", "AllowTcpForwarding": "local", "PermitOpen": opened,
        "GatewayPorts": "no", "AllowAgentForwarding": "no", "X11Forwarding": "no",
        "PermitTunnel": "no", "PermitTTY": "no", "PermitUserRC": "no", "PermitUserEnvironment": "no",
        "ForceCommand": "/bin/false", "PrintMotd": "no", "UseDNS": "no", "PidFile": "none", "LogLevel": "ERROR",
        "LoginGraceTime": "60", "ClientAliveInterval": "30", "ClientAliveCountMax": "4",
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def port(value: str) -> int:
    """A further port of the node that is permitted."""
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 65536:
        raise BadInput("permit", f"{value!r} is not a port", hint="Use 1 to 65535")
    return int(value)


def command(argv: Sequence[str]) -> list[str]:
    """The step's command line with the path of its program, which a login that is no login shell may lack."""
    return [find_command(argv[0]), *argv[1:]]

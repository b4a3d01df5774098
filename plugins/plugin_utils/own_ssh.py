# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The person's own ``~/.ssh/config``: one ``Include`` at its top, and the file that it includes, which is ours.

Texts are bytes: what the person wrote is given back as it was, whatever its encoding.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, cluster_name
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, gateway_alias, login_options

_BEGIN = b"# BEGIN hpc.jupyter: names of clusters for ssh; the playbook hpc.jupyter.offboard removes this"
_FILE = b", the file"
_DIRECTORY = b", the directory"
_END = b"# END hpc.jupyter"
_HEAD = b"# Written by hpc.jupyter; changes are overwritten. Your own settings: ~/.ssh/config\n"
_BY_HAND = (
    "HostName", "Port", "User", "ProxyCommand", "ControlPath", "UserKnownHostsFile", "GlobalKnownHostsFile",
    "KnownHostsCommand", "HostKeyAlgorithms", "StrictHostKeyChecking", "NoHostAuthenticationForLocalhost",
    "VerifyHostKeyDNS", "UpdateHostKeys", "CheckHostIP", "ServerAliveInterval", "ServerAliveCountMax", "ConnectTimeout",
)
"""What a login by hand shares with ours: the way, pins and keepalives. Terminal, agent and X11 are the person's."""


@dataclass(frozen=True)
class Place:
    """The person's ``~/.ssh``."""

    ssh: str

    @classmethod
    def at_home(cls) -> Place:
        """Of whoever runs this."""
        return cls(os.path.expanduser("~/.ssh"))

    @property
    def config(self) -> str:
        """The person's own configuration."""
        return os.path.join(self.ssh, "config")

    @property
    def directory(self) -> str:
        """Our directory."""
        return os.path.join(self.ssh, "hpc-jupyter")

    @property
    def aliases(self) -> str:
        """Our configuration, included from ``config``."""
        return os.path.join(self.directory, "config")

    @property
    def include(self) -> str:
        """The line that includes it."""
        return f'Include "{self.aliases}"'


def alias_block(cluster: Cluster, *, directory: str, openssh: tuple[int, int]) -> str:
    """``ssh CLUSTER`` and ``ssh CLUSTER-NODE`` for a person; ``directory`` holds the account's generated files.

    A gateway is passed with the generated configuration, so that it needs no name here. A login by hand rides on the
    master if there is one, and never becomes it.
    """
    files = Files(directory)
    options = [_jump(cluster, line, files) for line in login_options(cluster, directory=directory, openssh=openssh)]
    kept = [line for line in options if line.partition(" ")[0] in _BY_HAND]
    login = [f"Match originalhost {cluster.name}", *kept, "ControlMaster no", f'Include "{files.identity}"']
    nodes = [f"Match originalhost {cluster.name}-*", f'Include "{files.node_aliases}"']
    return "\n".join([_indent(login), _indent(nodes)]) + "\n"


def _jump(cluster: Cluster, line: str, files: Files) -> str:
    if not line.startswith("ProxyJump "):
        return line
    gateway = gateway_alias(cluster, len(cluster.gateways) - 1)
    return f"ProxyCommand ssh -F '{files.config}' -W '[%h]:%p' -- {gateway}"


def _indent(lines: Sequence[str]) -> str:
    return "\n".join([lines[0], *(f"    {line}" for line in lines[1:])])


def blocks(text: bytes) -> dict[str, bytes]:
    """The accounts in our configuration, each with its block."""
    found: dict[str, bytes] = {}
    for part in text.split(b"# account ")[1:]:
        name, _newline, block = part.partition(b"\n")
        found[name.decode()] = block
    return found


def joined(found: dict[str, bytes]) -> bytes:
    """Our configuration out of its blocks; empty where there is none."""
    parts = [b"# account " + name.encode() + b"\n" + found[name] for name in sorted(found)]
    return _HEAD + b"".join(parts) if parts else b""


def holder(found: dict[str, bytes], account: str) -> str:
    """The account that has the names of this one's cluster already; empty if none but itself has."""
    cluster = cluster_name(account)
    return next((name for name in found if name != account and cluster_name(name) == cluster), "")


def with_include(text: bytes | None, line: str, *, fresh: bool = False) -> bytes:
    """The person's configuration with our line at its very top: below a ``Host`` it would count for that host alone.

    ``text`` is ``None`` where there is no file; ``fresh`` says that its directory was made for it as well.
    """
    file = text is None or _has(text, _FILE)
    directory = fresh or _has(text or b"", _DIRECTORY)
    begin = _BEGIN + (_FILE if file else b"") + (_DIRECTORY if directory else b"")
    return b"\n".join([begin, line.encode(), _END, b""]) + _rest(text or b"")


def without_include(text: bytes) -> bytes | None:
    """The person's configuration as it was before; ``None`` if there was none."""
    rest = _rest(text)
    return None if _has(text, _FILE) and not rest else rest


def made_directory(text: bytes) -> bool:
    """Whether ``~/.ssh`` itself was made for our line."""
    return _has(text, _DIRECTORY)


def _rest(text: bytes) -> bytes:
    start = text.find(_BEGIN)
    end = text.find(_END, start)
    return text if start < 0 or end < 0 else text[:start] + text[end + len(_END) + 1 :]


def _has(text: bytes, flag: bytes) -> bool:
    """Whether the first line of our part says so."""
    start = text.find(_BEGIN)
    return start >= 0 and flag in text[start:].partition(b"\n")[0]


def read(path: str) -> bytes | None:
    """The content of a file; ``None`` if there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def why_not(path: str) -> str:
    """Why the person's configuration is not ours to write; empty if it is."""
    try:
        told = os.lstat(path)
    except FileNotFoundError:
        return ""
    if stat.S_ISLNK(told.st_mode):
        return "is a symbolic link"
    if not stat.S_ISREG(told.st_mode):
        return "is not a file"
    if told.st_uid != os.geteuid():
        return "belongs to another user"
    return "" if os.access(path, os.R_OK | os.W_OK) else "cannot be written to"


def includes(place: Place) -> bool:
    """Whether the person has included our file themselves, in a configuration that is not ours to write."""
    with contextlib.suppress(OSError):
        return place.include.encode() in (read(place.config) or b"")
    return False


def replace(path: str, content: bytes | None) -> None:
    """Write ``path`` in one step, with the mode it has, else 0600; with ``None``, remove it."""
    if content is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def defined_by_person(place: Place, name: str) -> bool:
    """Whether the person's own configuration leads ``name`` somewhere."""
    if not os.path.exists(place.config):
        return False
    told = subprocess.run(
        ["ssh", "-G", "-F", place.config, "--", name], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=20, check=False,
    )
    hosts = [line.split(" ", 1)[1] for line in told.stdout.splitlines() if line.startswith("hostname ")]
    return bool(hosts) and hosts != [name.lower()]  # as ssh shows it


@contextlib.contextmanager
def locked(place: Place) -> Iterator[None]:
    """Accounts of one play are done at the same time, and share these files; our directory goes when it is empty."""
    path = os.path.join(place.directory, ".lock")
    with os.fdopen(_hold(place, path), "wb"):
        yield
        if not os.path.exists(place.aliases):
            with contextlib.suppress(OSError):
                os.unlink(path)
                os.rmdir(place.directory)


def _hold(place: Place, path: str) -> int:
    """The lock, open: what one has waited for may have been removed by the one who had it."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            make_private_directory(place.directory)
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False

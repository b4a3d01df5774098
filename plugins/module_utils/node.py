# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node that a job runs on: its names, its public host keys, and a private directory that is its own."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import socket
import stat
import tempfile
from dataclasses import dataclass
from typing import Iterable, Iterator, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private

RUNTIME_BYTES = 57
"""The longest directory whose kernel sockets (``/kernel-<uuid>-ipc-1``) stay within the 107 bytes of a Unix socket."""

_PREFIX = "hpcj-"
_MARKER = "session"
_SHARED = ("nfs", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb", "afs", "panfs", "pvfs", "orangefs", "fuse.", "9p")


@dataclass(frozen=True)
class NodeDirectory:
    """A 0700 directory on the node: Jupyter's socket and, below it, its runtime directory."""

    path: str

    @property
    def socket(self) -> str:
        """Where Jupyter listens."""
        return os.path.join(self.path, "s")

    @property
    def runtime(self) -> str:
        """``JUPYTER_RUNTIME_DIR``: kernels' sockets and connection files."""
        return os.path.join(self.path, "r")

    @property
    def config(self) -> str:
        """Of ``JUPYTER_CONFIG_PATH``: defaults of JupyterLab that the person's own settings win over."""
        return os.path.join(self.path, "c")

    @property
    def certificates(self) -> str:
        """Copies of the account's certificate and its key, one for each that the session has had."""
        return os.path.join(self.path, "t")

    def remove(self) -> None:
        """Take it away, whatever is left in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def make_directory(session: str, *, temporary: Iterable[str], home: str) -> NodeDirectory:
    """A fresh directory marked as ``session``'s, in the first of ``temporary`` that will do; raises ``OSError``.

    One that a killed supervisor of the same session left there is removed.
    """
    refused = []
    # Without links on the way: whose they are, they could lead elsewhere later.
    for base in map(os.path.realpath, temporary):
        problem = unfit(base, home=home)
        if problem:
            refused.append(f"{base}: {problem}")
            continue
        _remove_left_over(base, session=session)
        made = NodeDirectory(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        write_private(os.path.join(made.path, _MARKER), os.fsencode(f"{os.getpid()}\n{session}\n"))
        os.mkdir(made.runtime, 0o700)
        write_defaults(made.config)
        return made
    raise OSError(f"no place for the sockets on {socket.gethostname()}: {'; '.join(refused)}")


def write_defaults(config: str) -> None:
    """Have JupyterLab not ask whether it may fetch news: its notebooks often have no way to the outside."""
    defaults = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}
    path = os.path.join(config, "labconfig", "default_setting_overrides.json")
    os.makedirs(os.path.dirname(path), mode=0o700)
    write_private(path, json.dumps(defaults).encode())


def temporary_directories(environment: Mapping[str, str]) -> list[str]:
    """Where a node-local directory may be made, best first: the job's own temporary directory, then the node's."""
    usual = ("/tmp", "/var/tmp")  # noqa: S108 - what is made there has an unguessable name and is 0700 from the start
    return list(dict.fromkeys([os.path.abspath(environment.get("TMPDIR") or usual[0]), *usual]))


def unfit(base: str, *, home: str, mounts: str | None = None) -> str:
    """Why sockets cannot be in ``base``; empty if they can."""
    try:
        status = os.stat(base)
    except OSError as error:
        return str(error.strerror)
    real = os.path.realpath(base)
    if os.path.commonpath([real, os.path.realpath(home)]) == os.path.realpath(home) != "/":
        return "is below the home directory, which nodes share"
    kind = filesystem(real, mounts=mounts)
    if kind.startswith(_SHARED):
        return f"is on a shared file system ({kind})"
    if len(os.fsencode(base)) + len(f"/{_PREFIX}12345678/r") > RUNTIME_BYTES:
        return f"is too long: kernel sockets would exceed 107 bytes (the directory may have {RUNTIME_BYTES})"
    if status.st_uid not in (0, os.geteuid()) or (status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX):
        return "can be changed by other users"
    return "" if os.access(base, os.W_OK | os.X_OK) else "cannot be written to"


def filesystem(path: str, *, mounts: str | None = None) -> str:
    """The type of the file system that ``path`` is on, as ``/proc/mounts`` names it; empty where there is none."""
    if mounts is None:
        try:
            with open("/proc/mounts", "rb") as stream:
                mounts = os.fsdecode(stream.read())
        except OSError:
            return ""
    best, kind = "", ""
    for row in (line.split() for line in mounts.splitlines()):
        point = row[1].replace("\\040", " ") if len(row) > 2 else ""
        if point and f"{path}/".startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, row[2]
    return kind


def _remove_left_over(base: str, *, session: str) -> None:
    """Only what is ours: a directory of our own, no link, marked with this session and a supervisor that is gone."""
    for path, owner in left_over(base):
        if owner == session:
            shutil.rmtree(path, ignore_errors=True)


def left_over(base: str) -> Iterator[tuple[str, str]]:
    """The directories that killed supervisors of ours have left in ``base``, each with its session's directory."""
    for path in glob.glob(os.path.join(glob.escape(base), f"{_PREFIX}*")):
        with contextlib.suppress(OSError, ValueError):
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            with open(os.path.join(path, _MARKER), "rb") as stream:
                pid, owner = os.fsdecode(stream.read()).rstrip("\n").split("\n", 1)
            if not _supervises(int(pid), owner):
                yield path, owner


def _supervises(pid: int, session: str) -> bool:
    from ansible_collections.hpc.jupyter.plugins.module_utils import children

    process = children.process(pid)
    return pid != os.getpid() and process is not None and f" supervise {session} " in f"{process.command} "


def addresses() -> list[str]:
    """The node's own addresses that others can reach, as far as its name leads to them."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        for entry in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM):
            address = str(entry[4][0])
            if is_reachable(address) and address not in found:
                found.append(address)
    return found


def is_reachable(address: str) -> bool:
    """Whether other hosts could reach the address: neither this host's own loopback nor one cable's."""
    return not address.startswith(("127.", "::1", "fe80:"))


def host_keys(directory: str = "/etc/ssh") -> list[str]:
    """The node's public SSH host keys, ``TYPE BASE64``."""
    keys: list[str] = []
    for path in sorted(glob.glob(os.path.join(directory, "ssh_host_*_key.pub"))):
        with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding="ascii") as stream:
            fields = stream.read().split()
            if len(fields) >= 2 and fields[0].startswith(("ssh-", "ecdsa-", "sk-")):
                keys.append(f"{fields[0]} {fields[1]}")
    return keys

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom ssh believes on the way to a session: the hosts whose keys its record holds, which came over a pinned way."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name
from ansible_collections.hpc.jupyter.plugins.plugin_utils import node_keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import step_alias
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files

_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{32,128}={0,2}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


def trust(cluster: Cluster, files: Files, record: Mapping[str, Any], *, permits: Sequence[int] = ()) -> None:
    """Make the session's node, its login host and the sshd of route ``step`` reachable by ``ssh -F``.

    ``permits`` are ports of the node's loopback that ``step`` leads to besides the session's socket.
    """
    for host, keys in ((record.get("node"), "host_keys"), (record.get("login_host"), "login_host_keys")):
        if host and record.get(keys):
            node_keys.record(files.directory, host, record[keys])
    session = session_name(record.get("session") or "default")
    blocks = [*_login(cluster, record), *_step(cluster, files, record, session=session, permits=permits)]
    make_private_directory(files.sessions)
    _write(os.path.join(files.sessions, session), "".join(f"{line}\n" for line in blocks))


def _login(cluster: Cluster, record: Mapping[str, Any]) -> list[str]:
    host = record.get("login_host")
    if not host or not record.get("login_host_keys"):
        return []
    if not _HOST.fullmatch(host):
        raise BadInput("login_host", f"the session's record holds {host!r}, which is no host name")
    return [f"Match originalhost {host}", f"    Port {cluster.login_port}"]


def _step(
    cluster: Cluster, files: Files, record: Mapping[str, Any], *, session: str, permits: Sequence[int]
) -> list[str]:
    host_key, node = record.get("step_host_key"), record.get("node")
    if not host_key or not node or cluster.route not in ("auto", "step"):
        return []
    alias = step_alias(cluster.name, session)
    node_keys.record(files.directory, alias, [host_key])
    words = [f"--session {session}", f"--key '{_own_key(files)}'", *(f"--permit {int(port)}" for port in permits)]
    command = f"exec {cluster.root}/hpc-session step {' '.join(words)}"
    return [
        f"Match originalhost {alias}",
        f"    HostName {alias}",
        f"    ProxyCommand ssh -F '{files.config}' -T -o ControlMaster=no -- {cluster.name} \"{command}\"",
        f'    IdentityFile "{files.step_key}"',
        "    IdentitiesOnly yes",
        "    IdentityAgent none",
    ]


def _own_key(files: Files) -> str:
    """The public part of a key that opens nothing but the sshd in a job of one's own."""
    if not os.path.exists(f"{files.step_key}.pub"):
        try:
            _make_key(files.step_key)
        except (OSError, subprocess.SubprocessError) as error:
            raise HpcJupyterError(f"{files.step_key} cannot be made: {error}. Is ssh-keygen installed?") from error
    with open(f"{files.step_key}.pub", encoding="ascii") as stream:
        key = " ".join(shlex.split(stream.read())[:2])
    if not _KEY.fullmatch(key):
        raise BadInput(f"{files.step_key}.pub", "is no ed25519 key", hint="Remove it, and another one will be made")
    return key


def _make_key(path: str) -> None:
    """Several may come at the same time: the first one's key is everybody's, and its public part is taken from it."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as own:
        made = os.path.join(own, "key")
        _ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", "hpc-jupyter-step", "-f", made)
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
        try:
            public = _ssh_keygen("-y", "-f", path)
        except subprocess.CalledProcessError:  # what is there was cut off once
            os.replace(made, path)
            public = _ssh_keygen("-y", "-f", path)
    write_private(f"{path}.pub", public)


def _ssh_keygen(*arguments: str) -> bytes:
    argv = ["ssh-keygen", *arguments]
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30).stdout


def _write(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as stream:
        if stream.read() == text:
            return
    write_private(path, text.encode())

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Behind a name that several login hosts answer to: on to the one that a session depends on."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import end_master
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, openssh_version

_SECONDS = 20
"""What a login host that is down may cost each login: one that is up has shown its banner by then."""

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_KEY = re.compile(r"[a-z][a-z0-9@.-]{2,63} [A-Za-z0-9+/]{32,8192}={0,2}")


def framed(output: str, nonce: str) -> Mapping[str, Any] | None:
    """The answer of the account's own command in ``output``, past whatever the login printed around it."""
    for line in output.splitlines():
        if line.startswith(f"{nonce} "):
            with contextlib.suppress(ValueError, RecursionError):
                told = json.loads(line[len(nonce) + 1 :])
                return told if isinstance(told, dict) else None
    return None


def wanted_host(output: str, *, nonce: str) -> tuple[str, list[str]] | None:
    """The login host that a session depends on, with its host keys, where another one has answered.

    ``output`` holds what the account's command says to ``where``. An account that was never set up needs none.
    """
    told = framed(output, nonce) or {}
    pinned = told.get("pinned")
    if not isinstance(pinned, dict) or pinned.get("host") == told.get("host"):
        return None
    host, keys = pinned.get("host"), pinned.get("host_keys")
    if not isinstance(host, str) or not _HOST.fullmatch(host) or not isinstance(keys, list):
        return None
    good = [key for key in keys if isinstance(key, str) and _KEY.fullmatch(key)]
    return (host, good) if good else None


def go_through(files: Files, host: str, keys: Sequence[str], log_in: Callable[[Sequence[str]], None]) -> bool:
    """Log in to ``host`` through the master that is there, and put the new one into its place.

    ``False`` if that fails; then the master is as it was.
    """
    write_private(files.login_known_hosts, "".join(f"{host} {key}\n" for key in keys).encode())
    os.rename(files.control, files.entrance)
    try:
        log_in(_options(files, host))
    except HpcJupyterError:
        os.rename(files.entrance, files.control)
        return False
    except BaseException:
        end_master(files.entrance)
        raise
    return True


def _options(files: Files, host: str) -> list[str]:
    lines = [
        f"HostName={host}",
        f"HostKeyAlias={host}",
        f'UserKnownHostsFile="{files.login_known_hosts}"',
        "GlobalKnownHostsFile=/dev/null",
        *(["KnownHostsCommand=none"] if openssh_version() >= (8, 5) else []),
        # Pins may have chosen an algorithm for the key of the host that answers to the name.
        "HostKeyAlgorithms=-*-cert-v01@openssh.com",
        f"ConnectTimeout={_SECONDS}",
        f"ProxyCommand=ssh -F none -S '{files.entrance}' -W '[%h]:%p' -- entrance 2>>\"$HPC_JUPYTER_SAID\"",
    ]
    return [word for line in lines for word in ("-o", line)]

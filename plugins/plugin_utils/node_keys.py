# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compute nodes of the generated ssh configuration, and the host keys that their jobs put into the record."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, block, read, replace

_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
_PUBLIC_KEY = re.compile(r"[a-z][a-z0-9@.-]{2,63} [A-Za-z0-9+/]{32,8192}={0,2}")


def record(directory: str, node: str, keys: Sequence[str], *, addresses: Sequence[str] = ()) -> None:
    """Trust ``node`` by the public host keys in its session's record (``TYPE BASE64``), instead of earlier ones."""
    names = [_node(name) for name in (node, *addresses)]
    lines = [f"{','.join(names)} {_public_key(node, key)}" for key in keys]
    files = Files(directory)
    kept = [line for line in read(files.node_known_hosts).splitlines() if not _concerns(line, names)]
    known = [*kept, *lines] if lines else kept
    make_private_directory(directory)
    replace(files.node_known_hosts, "".join(f"{line}\n" for line in known))
    replace(files.nodes, _nodes(files, known))
    replace(files.node_aliases, _node_aliases(files, known))


def _nodes(files: Files, known: Sequence[str]) -> str:
    names = sorted({name for line in known for name in _names(line)})
    return block(",".join(names), [f'Include "{files.node_options}"']) + "\n" if names else ""


def _node_aliases(files: Files, known: Sequence[str]) -> str:
    cluster = os.path.basename(files.directory).rpartition("@")[2]
    names = sorted({_names(line)[0] for line in known})
    common = [f'Include "{files.node_options}"', f'Include "{files.identity}"']
    return "".join(
        block(f"{cluster}-{name}", [f"HostName {name}", f"HostKeyAlias {name}", *common]) + "\n" for name in names
    )


def _node(name: object) -> str:
    if not isinstance(name, str) or not _NODE.fullmatch(name):
        raise BadInput("node", f"{name!r} is not a host name")
    return name


def _public_key(node: str, key: object) -> str:
    if not isinstance(key, str) or not _PUBLIC_KEY.fullmatch(key):
        raise BadInput("host_keys", f"the record of {node} holds {key!r}, which is no public key")
    return key


def _names(line: str) -> list[str]:
    return line.partition(" ")[0].split(",")


def _concerns(line: str, names: Sequence[str]) -> bool:
    return not set(_names(line)).isdisjoint(names)

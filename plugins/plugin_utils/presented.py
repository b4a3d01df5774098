# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host keys that a hop presents, for comparison. None is accepted, so nothing is sent to the hop itself."""

from __future__ import annotations

import re

from ansible_collections.hpc.jupyter.plugins.plugin_utils.authorized_keys import Asked, to_hop
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import explain
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import ConnectFailed
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import pinned

KINDS = ("ED25519", "ECDSA", "RSA")
_SHOWN = re.compile(r"(?m)^hpc\.jupyter: \S+ presents (\S+) (SHA256:[A-Za-z0-9+/]{43}), which is not pinned")
_LACKS = re.compile(r"no matching host key type found")
_NONE = "SHA256:none"
"""No key has this fingerprint."""


def presented(cluster: Cluster, *, index: int, asked: Asked, once: bool = False) -> tuple[Pin, ...]:
    """The keys of the hop at ``index``, one of each kind that it has; those before it are passed in the usual way.

    With ``once``, only the one that it offers first. Raises ``ConnectFailed`` where it cannot be reached.
    """
    tries = (KINDS,) if once else tuple((kind,) for kind in KINDS)
    found = [_one(cluster, index=index, asked=asked, kinds=kinds) for kinds in tries]
    return tuple(pin for pin in found if pin is not None)


def _one(cluster: Cluster, *, index: int, asked: Asked, kinds: tuple[str, ...]) -> Pin | None:
    lines = pinned([Pin(_NONE, kind) for kind in kinds])
    options = [word for line in lines for word in ("-o", line)]
    said = to_hop(cluster, index=index, asked=asked, options=options, script="exit 0\n").stderr
    shown = _SHOWN.findall(said.replace("\r", ""))
    if shown:
        kind, fingerprint = shown[-1]
        return Pin(fingerprint, next((name for name in KINDS if name in kind.upper()), ""))
    if _LACKS.search(said):
        return None
    raise ConnectFailed(explain(said, cluster))

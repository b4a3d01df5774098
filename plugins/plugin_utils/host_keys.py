# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host keys that somebody has confirmed: a file of our own beside a lab's accounts file.

One line a key, ``CLUSTER HOST SHA256:…`` and the key's kind in brackets. Its name ends in a way that Ansible does not
take for an inventory in a directory of inventories.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.own_ssh import replace

SUFFIX = ".host_keys.txt"
_HEAD = "# Written by hpc-jupyter trust; changes are overwritten. CLUSTER HOST FINGERPRINT (KIND)\n"

Pins = dict[str, dict[str, list[str]]]


def beside(path: str) -> str:
    """The file that belongs to the accounts file at ``path``."""
    return os.path.splitext(path)[0] + SUFFIX


def read(path: str) -> Pins:
    """Fingerprints by cluster and host; raises ``BadInput`` for a line that is none."""
    pins: Pins = {}
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(path, f"cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        words = line.split(" ", 2)
        if line.startswith("#") or not line:
            continue
        if len(words) != 3 or not words[2].startswith("SHA256:"):
            raise BadInput("host keys", f"{line!r} is not CLUSTER HOST FINGERPRINT").at(f"{path}:{number}")
        pins.setdefault(words[0], {}).setdefault(words[1], []).append(words[2])
    return pins


def write(path: str, pins: Mapping[str, Mapping[str, list[str]]]) -> None:
    """Write all of it in one step; nothing else is in that file."""
    lines = [f"{cluster} {host} {pin}\n" for cluster in sorted(pins) for host in sorted(pins[cluster])
             for pin in pins[cluster][host]]
    fresh = not os.path.exists(path)
    replace(path, (_HEAD + "".join(lines)).encode())
    if fresh:  # nothing in it is secret, and a lab shares it
        os.chmod(path, 0o644)

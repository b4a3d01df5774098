# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of the password hash in use, so that whoever knows the password knows whether it is that one's."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import changes

_HASH = re.compile(
    r"argon2:(?P<settings>\$argon2id\$v=19\$m=[1-9][0-9]{0,8},t=[1-9][0-9]{0,8},p=[1-9][0-9]{0,8}\$[A-Za-z0-9+/]+)"
    r"\$(?P<sum>[A-Za-z0-9+/]+)"
)


def told(path: str) -> dict[str, Any]:
    """The SHA-256 of the configuration at ``path``; of the hash in it settings and salt, its length and its SHA-256."""
    config = changes.text(path)
    result: dict[str, Any] = {"sha256": _sha256(config) if changes.mode(path) == "0600" else ""}
    found = _HASH.search(config)
    if found is not None:
        size = len(found["sum"]) * 3 // 4
        result["hash"] = {"settings": found["settings"], "bytes": size, "sha256": _sha256(found[0])}
    return result


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

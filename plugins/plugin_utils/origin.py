# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the inventory's variables were written, so that a message can name the file and the line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def origins(variables: Mapping[str, Any]) -> dict[str, str]:
    """``FILE:LINE`` by variable, as Ansible has tagged the names and, where it has not, the values."""
    try:
        # Ansible names no public way to this; without it a message names the variable alone.
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return {}
    found = {name: _place(Origin.get_tag(name) or Origin.get_tag(value)) for name, value in variables.items()}
    return {str(name): place for name, place in found.items() if place}


def _place(origin: Any) -> str:
    path, number = getattr(origin, "path", None), getattr(origin, "line_num", None)
    return f"{path}:{number}" if path and number else str(path or "")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that put sessions into words, and what is asked for them into numbers."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.hpc.jupyter.plugins.module_utils import idle, words
from ansible_collections.hpc.jupyter.plugins.plugin_utils.instructions import instructions


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {
            "session_line": words.line, "leftover_line": words.leftover_line, "instructions": instructions,
            "check_line": words.check_line, "idle_seconds": idle.seconds,
        }

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter hpc.jupyter.session_line."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.hpc.jupyter.plugins.plugin_utils.instructions import session_line

DOCUMENTATION = r"""
name: session_line
short_description: One line that says what a session is doing
version_added: 0.1.0
description:
  - Puts a session, as M(hpc.jupyter.session_info) returns it, into one line for people.
author: the hpc.jupyter contributors
options:
  _input:
    description: A session.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say where the sessions are
  ansible.builtin.debug:
    msg: "{{ seen.sessions | map('hpc.jupyter.session_line') | list }}"
"""

RETURN = r"""
_value:
  description: The line.
  type: str
  sample: session default of alice@cori is ready on c1 (job 4711), until 2026-11-21T06:05:59Z
"""


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"session_line": session_line}

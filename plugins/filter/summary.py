# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter hpc.jupyter.summary."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.hpc.jupyter.plugins.plugin_utils.summary import summary

DOCUMENTATION = r"""
name: summary
short_description: What a play has done for each of many accounts, as a table
version_added: 0.1.0
description:
  - Puts what came of each account into a line, and says what its owner or the admin has to do next.
author: The hpc.jupyter contributors (@hpc-jupyter)
positional: rows, changed, play
options:
  _input:
    description: The accounts' names.
    type: list
    elements: str
    required: true
  rows:
    description:
      - For each account a dictionary. C(done) says where it is done, C(notes) what else there is to say; or C(task),
        C(message) and C(kind) say what failed. Empty where the connection was lost.
    type: list
    elements: dict
    required: true
  changed:
    description: For each account whether anything was changed.
    type: list
    elements: bool
    required: true
  play:
    description: Which playbook it is.
    type: str
    choices: [onboard, offboard, rotate]
    required: true
  check:
    description: Whether it was only a check.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what came of each account
  ansible.builtin.debug:
    msg: "{{ ['alice@cori'] | hpc.jupyter.summary([{'done': 'in /home/alice/jupyter'}], [true], 'onboard') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
  sample: ["alice@cori  done  in /home/alice/jupyter", "Next: hpc-jupyter launch alice@cori"]
"""


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"summary": summary}

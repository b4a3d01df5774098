# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter hpc.jupyter.listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DOCUMENTATION = r"""
name: listed
short_description: Text of one item a line as the list that is meant
version_added: 0.1.0
description:
  - A survey of AWX gives text where a variable is a list, one item a line, or nothing at all.
  - Text of a single line is left as it is. Ansible separates its items at commas, as everywhere.
  - What is left empty there is V(none) in Ansible, and no items here.
options:
  _input:
    description: Text, a list, or nothing.
    type: raw
    required: true
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
"""

EXAMPLES = r"""
- name: Show two packages
  ansible.builtin.debug:
    msg: "{{ 'numpy\nscipy>=1.11,<2\n' | hpc.jupyter.listed }}"
"""

RETURN = r"""
_value:
  description: The lines that are not empty, without spaces around them; what is a list or a single line, as it was.
  type: raw
"""


def listed(value: Any) -> Any:
    """The items in ``value``."""
    if value is None:
        return []
    if not isinstance(value, str):
        return value
    items = [line.strip() for line in value.splitlines() if line.strip()]
    return items if len(items) != 1 else items[0]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"listed": listed}

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter hpc.jupyter.misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

DOCUMENTATION = r"""
name: misspelt
short_description: Names that are not known, each with the one that was probably meant
version_added: 0.1.0
description:
  - Ansible takes a misspelt variable without a word. This says which of the given names are not known.
author: The hpc.jupyter contributors (@hpc-jupyter)
positional: known, what
options:
  _input:
    description: The names to check.
    type: list
    elements: str
    required: true
  known:
    description: The names there are.
    type: list
    elements: str
    required: true
  what:
    description: What the names are, with an article.
    type: str
    default: a known name
"""

EXAMPLES = r"""
- name: Refuse a misspelt kind
  ansible.builtin.assert:
    that: (['vnev'] | hpc.jupyter.misspelt(['venv', 'existing'], 'a kind')) == []
"""

RETURN = r"""
_value:
  description: One sentence for each name that is not known.
  type: list
  elements: str
"""


def misspelt(names: Sequence[str], known: Sequence[str], what: str = "a known name") -> list[str]:
    """One sentence for each of ``names`` that is not in ``known``."""
    return [_sentence(name, known, what) for name in names if name not in known]


def _sentence(name: str, known: Sequence[str], what: str) -> str:
    close = difflib.get_close_matches(str(name), [str(item) for item in known], n=1)
    if close:
        return f"{name!s} is not {what}; did you mean {close[0]}?"
    return f"{name!s} is not {what}; there are {', '.join(sorted(known))}"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"misspelt": misspelt}

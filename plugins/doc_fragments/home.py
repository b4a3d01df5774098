# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The directory that an account is set up in, by the user whose it is."""

    DOCUMENTATION = r"""
options:
  root:
    description: The account's directory, absolute or starting with C(~/), which is the home directory.
    type: str
    required: true
  allow_root:
    description: Whether the user root is accepted, as on one's own machine.
    type: bool
    default: false
"""

#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_aliases
short_description: Names for ssh by hand, and what this machine keeps of an account
version_added: 0.1.0
description:
  - Writes C(~/.ssh/hpc-jupyter/config), with which C(ssh CLUSTER) logs in and C(ssh CLUSTER-NODE) leads to a node whose
    keys a session has recorded, and includes it by one line at the top of C(~/.ssh/config).
  - A C(~/.ssh/config) that is a link, or that this user cannot write to, is left alone; RV(notes) then says what to do.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  action:
    description: Runs on the controller, and nowhere else.
    support: full
  diff_mode:
    description: Shows the files.
options:
  key:
    description: The private key to log in with, besides those that ssh tries by itself.
    type: str
    default: ""
  also:
    description: Another private key, which is tried after O(key).
    type: str
    default: ""
  names:
    description: Whether the names are wanted. If not, the key is settled and nothing is written to C(~/.ssh).
    type: bool
    default: true
  state:
    description:
      - With V(absent), everything goes that this machine keeps of the account, its login master and its generated ssh
        configuration included. No host of the account can be reached by the play after that.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Name the cluster
  hpc.jupyter.ssh_aliases:
    key: "{{ key.path }}"
"""

RETURN = r"""
names:
  description: Whether the names are there.
  returned: success
  type: bool
notes:
  description: What was left alone, and why.
  returned: success
  type: list
  elements: str
"""

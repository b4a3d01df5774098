#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: key
short_description: The ssh key of whoever runs this
version_added: 0.1.0
description:
  - Finds the key to log in with, on the controller. If there is none, an ed25519 key without a passphrase is made.
  - A key that is there is used, whatever its kind, and never overwritten. A key whose private part is only in the agent
    is fine.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    description: Says whether a key would be made.
    support: full
  diff_mode:
    description: Names the key that would be made or removed.
    support: full
options:
  path:
    description:
      - The private key.
      - If empty, the one that the account was set up with, else the first there is of those that C(~/.ssh/config) names
        for the login host, of C(~/.ssh/id_ed25519), C(id_ecdsa), C(id_rsa), C(id_ed25519_sk), C(id_ecdsa_sk), else the
        first in the agent, else C(~/.ssh/id_ed25519), made anew.
    type: str
    default: ""
  state:
    description: With V(absent), a key that was made here is removed, once no account is left here that may need it.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Provide the key
  hpc.jupyter.key:
"""

RETURN = r"""
path:
  description: The private key, empty if only the agent has it.
  returned: success
  type: str
  sample: /home/alice/.ssh/id_ed25519
public_key:
  description: The public key without its comment, empty in check mode if it would be made.
  returned: when O(state=present)
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8gHvRsJmkIYAXCzPqBcNdVqCbVlJJQDBjkL5qfQlPJ
"""

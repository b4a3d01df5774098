#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: authorized_key
short_description: The key on the account, and on the gateways before it
version_added: 0.1.0
description:
  - Adds a line to C(~/.ssh/authorized_keys) unless the key is there already, with whatever options and comment.
  - A gateway gets the key only if it asks for a password, with the password that was given to Ansible. Where it cannot
    be had, because the gateway lets nobody run commands, the gateway is named in RV(asking).
  - Needs a shell there, and no Python. The file is replaced in one step; a link is followed, somebody else's file is
    refused. New files are 0600, new directories 0700; others lose their write access if they had any.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
attributes:
  action:
    description: Runs on the controller, and on the account over the connection that M(hpc.jupyter.connect) has opened.
    support: full
  check_mode:
    description: Looks, and says what would change. Does not see then whether the key is accepted.
    support: full
  diff_mode:
    description: Shows the line.
    support: full
options:
  public_key:
    description: The public key, type and base64 without a comment.
    type: str
    required: true
  state:
    description: With V(absent), the line is removed if it was added by this module.
    type: str
    choices: [present, absent]
    default: present
  gateways:
    description: Whether the gateways get the key too.
    type: bool
    default: true
  key:
    description:
      - The private key's path. If given, it must be what opens every hop after this, without the help of another key,
        and a gateway gets it also where another one lets in already.
    type: str
    default: ""
  further:
    description: Further public keys for the account itself, as in a C(.pub) file. No gateway gets them.
    type: list
    elements: str
    default: []
  way_back:
    description:
      - With O(state=absent), whether the line of the key goes as well with which the account's nodes make the way back.
        Sessions that run may need it.
    type: bool
    default: false
  leaving:
    description:
      - With O(state=absent), accounts that are being removed as well. Where another account that was set up on this
        machine logs in at the same hop, as the same user and with the same key, the key stays there.
      - Of several that are being removed and pass the same gateway, the last one of this list takes the key back there,
        since those before it may pass it on their way to another. So they have to come one after the other.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Let the key in
  hpc.jupyter.authorized_key:
    public_key: "{{ key.public_key }}"
"""

RETURN = r"""
asking:
  description: The hops that go on asking for a password.
  returned: success
  type: list
  elements: str
  sample: [gateway gate.example.org]
notes:
  description: Where the key stays, and for whom; where it may stay, since a gateway could not be asked.
  returned: success
  type: list
  elements: str
  sample: ["The key stays on gateway gate.example.org: alice@hydra may log in with it"]
"""

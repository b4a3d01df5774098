# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter hpc.jupyter.ssh_args."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, state_directory

DOCUMENTATION = r"""
name: ssh_args
short_description: The arguments with which ssh uses an account's generated configuration
version_added: 0.1.0
description:
  - For C(ansible_ssh_args), so that Ansible takes the way through the gateways and rides on the connection that
    M(hpc.jupyter.connect) opened.
  - Forwards of the person's own ssh configuration are left out, as a second connection could not listen again.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
options:
  _input:
    description: The account's name in the inventory.
    type: str
    required: true
seealso:
  - module: hpc.jupyter.connect
"""

EXAMPLES = r"""
- name: Show how Ansible calls ssh
  ansible.builtin.debug:
    msg: "{{ inventory_hostname | hpc.jupyter.ssh_args }}"
"""

RETURN = r"""
_value:
  description: The arguments, quoted for a shell.
  type: str
"""


def ssh_args(account: str) -> str:
    """The arguments for ``account``; nothing is read or written."""
    try:
        files = Files(state_directory(account))
    except BadInput as error:
        raise AnsibleFilterError(str(error)) from None
    return shlex.join(["-F", files.config, "-o", "ClearAllForwardings=yes"])


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"ssh_args": ssh_args}

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters hpc.jupyter.password_hash and hpc.jupyter.password_problem."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import password

DOCUMENTATION = r"""
name: password_hash
short_description: The hash of a password as Jupyter checks it
version_added: 0.1.0
description:
  - Makes an argon2id hash with a salt of its own on the controller, so that the password never gets to the cluster.
  - An existing hash of the same password is kept, so that nothing changes.
author: The hpc.jupyter contributors (@hpc-jupyter)
positional: existing
options:
  _input:
    description: The password, of twelve characters or more.
    type: str
    required: true
  existing:
    description: The hash that is in use, or the text of the configuration file that it is in.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Hash a password
  ansible.builtin.set_fact:
    hashed: "{{ jupyter_server_password | hpc.jupyter.password_hash(existing) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The hash.
  type: str
  sample: argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA
"""


def password_hash(value: object, existing: str = "") -> str:
    """The hash of ``value``; the one in ``existing`` if that verifies."""
    try:
        hashed = password.password_hash(value, existing)
    except BadInput as error:
        raise AnsibleFilterError(str(error)) from None
    if password.has_outer_space(str(value)):
        Display().warning("jupyter_server_password begins or ends with a space: type it at the login too")
    return hashed


def password_problem(value: object, hashed: object = "") -> str:
    """What is wrong with a password and a ready-made hash, of which one may be given; empty if nothing."""
    try:
        if value != "" and hashed != "":
            raise BadInput("jupyter_server_password", "is given together with jupyter_server_password_hash",
                           hint="Give one of them")
        if value != "":
            password.check_password(value)
        if hashed != "":
            password.check_hash(hashed)
    except BadInput as error:
        return str(error)
    return ""


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"password_hash": password_hash, "password_problem": password_problem}

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory plugin hpc.jupyter.accounts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: accounts
short_description: A lab's people, clusters, and who has which account
version_added: 0.1.0
description:
  - Reads one YAML file that lists clusters with their facts and people with their accounts.
  - Gives a host C(PERSON@CLUSTER) for every account, a group for every cluster and for every person, and the variables
    of the connection, so that C(--limit cori) and C(--limit alice*) say who is meant. In a group's name, what Ansible
    does not allow there is C(_).
  - The file is checked as a whole, and what is wrong in it is told with its line. Its values are data and never
    templates; what has to be one belongs into C(group_vars) or C(host_vars) beside the file, as with every inventory.
  - Fingerprints that C(hpc-jupyter trust CLUSTER --write) has put into C(NAME.host_keys.txt), beside C(NAME.yml), are
    pinned for hosts of which the file itself says nothing.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
options:
  plugin:
    description: Says that the file is for this plugin.
    type: str
    required: true
    choices: [hpc.jupyter.accounts]
  clusters:
    description:
      - The clusters by name, each with its facts (C(hpc_…)), and with variables of the roles that hold for all of its
        accounts (C(jupyter_…)).
      - C(ansible_connection=local) is for a cluster that is this machine, C(ansible_python_interpreter) for one on
        which Ansible does not find a Python.
    type: dict
    required: true
  people:
    description:
      - >-
        The people by name. C(accounts) are clusters with the user's name there, C({cori: asmith}), or a list of
        clusters where it is the person's. C({cori: {user: asmith, jupyter_session_project: chem}}) says more of one
        account.
      - >-
        C(keys) are public keys that C(onboard) lets into the person's accounts; C(jupyter_…) are the person's defaults.
    type: dict
    required: true
"""

EXAMPLES = r"""
# lab.accounts.yml
plugin: hpc.jupyter.accounts
clusters:
  cori:
    hpc_login_hosts: [cori.example.org]
    hpc_host_keys: {cori.example.org: ["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"]}
    hpc_scheduler: slurm
    jupyter_session_time: "2:00:00"
  hydra:
    hpc_gateways: [gate.example.org]
    hpc_login_hosts: [hydra.example.org]
    hpc_scheduler: none
people:
  alice: {accounts: {cori: asmith, hydra: alice}, jupyter_session_memory: 16G}
  bob: {accounts: [cori]}
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.accounts import PLUGIN, Lab, load

_CONNECTION = os.path.join(os.path.dirname(__file__), "..", "..", "playbooks", "group_vars", "all.yml")


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]  # ansible carries no types
    """Hosts and groups out of an accounts file."""

    NAME = PLUGIN

    def verify_file(self, path: str) -> bool:
        """Whether it may be one; what the file says decides."""
        return bool(super().verify_file(path)) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Give Ansible what the file describes."""
        super().parse(inventory, loader, path, cache)
        try:
            lab = load(path, loader=loader)
        except BadInput as error:
            raise AnsibleParserError(str(error)) from None
        self._add(lab, connection=loader.load_from_file(_CONNECTION, trusted_as_template=True))

    def _add(self, lab: Lab, *, connection: dict[str, Any]) -> None:
        for group in lab.groups.values():
            self.inventory.add_group(group)
        for name, facts in lab.clusters.items():
            for variable, value in {**connection, **_of_ansible(facts, wanted=False)}.items():
                self.inventory.set_variable(lab.groups[name], variable, value)
        for account in lab.accounts:
            self.inventory.add_host(account.name, group=lab.groups[account.cluster])
            self.inventory.add_child(lab.groups[account.person], account.name)
            # The playbooks' own group variables would win over those of an inventory's group.
            own = _of_ansible(lab.clusters[account.cluster], wanted=True)
            for variable, value in {**own, **account.variables}.items():
                self.inventory.set_variable(account.name, variable, value)


def _of_ansible(facts: Mapping[str, Any], *, wanted: bool) -> dict[str, Any]:
    """The facts that are Ansible's own variables, or the others."""
    return {name: value for name, value in facts.items() if name.startswith("ansible_") is wanted}

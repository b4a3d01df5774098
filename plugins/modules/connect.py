#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: connect
short_description: Log in to an account's cluster, through its gateways and with pinned host keys
version_added: 0.1.0
description:
  - Checks the cluster's facts, the variables called C(hpc_…) of the inventory, before anything is contacted.
  - Writes the account's ssh configuration on the controller, below C(~/.local/state/hpc-jupyter).
  - Opens one connection to the login host. Ansible and every forward ride on it, so that there is one authentication.
  - Fails with a message that names the hop, what failed there and what to do. Other hosts of the play go on.
  - Finds the Python that Ansible runs modules with on the account, in the same round trip as the login, and without a
    Python to begin with. It looks on PATH; where all are too old, at what a login shell, conda, uv, pyenv and modules
    bring. The fact C(hpc_python) names one instead, and so does C(ansible_python_interpreter).
  - Asks nothing. A password that was given to Ansible (C(--ask-pass), C(ansible_password)) is told to each gateway and
    login host of the cluster that asks for one, and to no other host.
  - An account with C(ansible_connection=local) is only checked.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    description: A connection changes nothing on the account; it is opened in check mode too.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
options:
  timeout_seconds:
    description: How long logging in may take, over all hops.
    type: int
    default: 60
  later:
    description:
      - Only check, where C(hpc-jupyter) has started the play before it knows whether it is needed.
      - M(hpc.jupyter.session) waits for that, and goes in over the connection that C(hpc-jupyter) has opened meanwhile.
      - A play that is run in another way, or that is wanted already, logs in at once.
    type: bool
    default: false
  pack:
    description:
      - The module that comes next. Ansible packs it while the login goes on, once for all accounts of a play.
    type: str
    default: ''
notes:
  - Play variables of the collection's playbooks let Ansible use the generated configuration, see
    P(hpc.jupyter.ssh_args#filter).
  - Root is refused on accounts that are reached over ssh.
seealso:
  - plugin: hpc.jupyter.ssh_args
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Connect
  hpc.jupyter.connect:
"""

RETURN = r"""
cluster:
  description: The cluster's facts as they were understood, with defaults filled in.
  returned: success
  type: dict
  sample:
    account: alice@cori
    gateways: [{host: gate.example.org, port: 22, relay: jump, user: alice}]
    host_keys: {gate.example.org: ["SHA256:uNiVztksCsDhcc0u9e8BrrqEHL6TYBF/qB1cGVcnvXk"]}
    local: false
    login_hosts: [cori.example.org]
    login_port: 22
    name: cori
    root: ~/.local/share/hpc-jupyter/cori
    route: auto
    scheduler: slurm
    user: alice
opened:
  description: Whether a connection was opened; V(false) where there was one.
  returned: success
  type: bool
ssh_config:
  description: The configuration for C(ssh -F), empty for a local account.
  returned: success
  type: str
"""

#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Find out why an account does not work
version_added: 0.1.0
description:
  - Looks at everything that a session needs, hop by hop.
  - On the controller, whether the first host's name is known and its port open, whether host keys are those that are
    pinned, who lets one in and by which method, and whether the login shell prints anything.
  - On the account, in one go, whether the scheduler answers and would take a job, whether the home directory can be
    written to and is closed to others, how much room is left, whether JupyterLab runs, for how long the certificate is
    good, and by which routes a session's node can be reached.
  - Changes nothing, submits nothing and returns no secret. What is wrong is a line of the answer, and no failure.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.account
  - hpc.jupyter.looks
  - hpc.jupyter.site
options:
  resources:
    description: What sessions of this account ask for by default, as M(hpc.jupyter.session) takes it.
    type: dict
  route:
    description: The cluster's route. The action sets it.
    type: str
    default: auto
  worked:
    description: The route that worked last on the controller. The action sets it.
    type: str
    default: ""
  allow_root:
    description: Whether the user root is accepted, as on one's own machine. The action sets it.
    type: bool
    default: false
  timeout_seconds:
    description: How long logging in may take, over all hops.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Find out what is wrong
  hpc.jupyter.doctor:
    account: alice@cori
    cluster: cori
    scheduler: slurm
  register: found

- name: Show what is not well
  ansible.builtin.debug:
    msg: "{{ found.checks | rejectattr('state', 'eq', 'ok') }}"
"""

RETURN = r"""
checks:
  description: What was looked at, in the order of the way to a session.
  returned: success
  type: list
  elements: dict
  sample: [{check: disk, state: warn, text: 900 MB left in /home/alice, remedy: Remove what is no longer needed there}]
state:
  description: V(fail) if a check failed, else V(warn) if one warns, else V(ok).
  returned: success
  type: str
now:
  description: The account's clock, in seconds since the epoch. The action takes it out again.
  returned: by the module
  type: float
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import answers, arguments, doctor, request
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name

_OPTIONS = {
    "resources": {"type": "dict"},
    "route": {"type": "str", "default": "auto"},
    "worked": {"type": "str", "default": ""},
    "allow_root": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "int", "default": 60},
}


def main() -> None:
    """Run the module."""
    now = time.time()
    module = AnsibleModule(argument_spec=dict(arguments.ACCOUNT_OPTIONS, **_OPTIONS), supports_check_mode=True)
    try:
        checks = [check.to_dict() for check in doctor.examine(_patient(module.params))]
        module.exit_json(changed=False, checks=checks, state=doctor.worst(checks), now=now)
    except (HpcJupyterError, OSError) as error:
        module.fail_json(**answers.failure(error))


def _patient(params: dict[str, Any]) -> doctor.Patient:
    layout = answers.layout_of(params)
    scheduler = by_name(params["scheduler"], root=layout.root, detach=params["detach"], site=params["site"])
    return doctor.Patient(
        params["account"], layout, scheduler, request.build_resources(params["resources"] or {}),
        allow_root=params["allow_root"], route=params["route"], worked=params["worked"],
    )  # fmt: skip


if __name__ == "__main__":
    main()

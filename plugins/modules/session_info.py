#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: session_info
short_description: See an account's Jupyter sessions
version_added: 0.1.0
description:
  - Reads the records of an account's sessions and asks the scheduler about each.
  - Changes nothing and returns no secret.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.account
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Changes nothing in any mode.
    support: none
options:
  name:
    description: One session's name. All sessions if not given.
    type: str
  log_lines:
    description: How many lines of each session's log to return.
    type: int
    default: 0
seealso:
  - module: hpc.jupyter.session
"""

EXAMPLES = r"""
- name: See all sessions
  hpc.jupyter.session_info:
    account: alice@cori
    cluster: cori
    scheduler: slurm
  register: seen

- name: Read the end of one session's log
  hpc.jupyter.session_info:
    account: alice@cori
    cluster: cori
    scheduler: slurm
    name: default
    log_lines: 50
"""

RETURN = r"""
sessions:
  description:
    - The sessions, each as M(hpc.jupyter.session) returns it, with RV(ignore:log_tail) where lines were asked for.
  returned: success
  type: list
  elements: dict
  sample:
    - session: default
      state: ready
      job_id: "4711"
      node: c1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import answers, request, session
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import read_tail
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

_OPTIONS = {"name": {"type": "str"}, "log_lines": {"type": "int", "default": 0}}


def main() -> None:
    """Run the module."""
    ansible = AnsibleModule(argument_spec=dict(answers.ACCOUNT_OPTIONS, **_OPTIONS), supports_check_mode=True)
    try:
        layout = answers.layout_of(ansible.params)
        scheduler = by_name(ansible.params["scheduler"], root=layout.root, detach=ansible.params["detach"])
        wanted = ansible.params["name"]
        names = [request.session_name(wanted)] if wanted else session.names(layout)
        seen = [_see(layout, name, scheduler, log_lines=ansible.params["log_lines"]) for name in names]
        ansible.exit_json(changed=False, sessions=[answer for answer in seen if answer])
    except (HpcJupyterError, OSError) as error:
        ansible.fail_json(**answers.failure(error))


def _see(layout: Layout, name: str, scheduler: Scheduler, *, log_lines: int) -> dict[str, Any]:
    answer = session.look(layout, name, scheduler).to_dict()
    return dict(answer, log_tail=read_tail(layout.session(name).log, lines=log_lines)) if answer else {}


if __name__ == "__main__":
    main()

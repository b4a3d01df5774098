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
  - hpc.jupyter.looks
  - hpc.jupyter.site
options:
  name:
    description: One session's name. All sessions if not given.
    type: str
  log_lines:
    description:
      - How many lines of each session's log to return. What Jupyter logs of the checks before a session is ready is not
        among them, nor an address that leads nowhere.
    type: int
    default: 0
  leftovers:
    description: Whether to look for what earlier launches have left, too. Not with O(name).
    type: bool
    default: false
seealso:
  - module: hpc.jupyter.leftovers
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
leftovers:
  description: What earlier launches have left, as M(hpc.jupyter.leftovers) returns it, and jobs that no record knows.
  returned: with O(leftovers=true)
  type: list
  elements: dict
untold:
  description: Why it cannot be told which jobs there are, in the scheduler's words; empty if it can.
  returned: with O(leftovers=true)
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import (
    answers,
    arguments,
    job_log,
    leftovers,
    request,
    session,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.plan import View
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name

_OPTIONS = {
    "name": {"type": "str"},
    "log_lines": {"type": "int", "default": 0},
    "leftovers": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    ansible = AnsibleModule(
        argument_spec=dict(arguments.ACCOUNT_OPTIONS, **_OPTIONS),
        supports_check_mode=True,
        mutually_exclusive=[("name", "leftovers")],
    )
    try:
        ansible.exit_json(changed=False, **_seen(ansible.params, answers.layout_of(ansible.params)))
    except (HpcJupyterError, OSError) as error:
        ansible.fail_json(**answers.failure(error))


def _seen(params: dict[str, Any], layout: Layout) -> dict[str, Any]:
    scheduler = by_name(params["scheduler"], root=layout.root, detach=params["detach"], site=params["site"])
    names = [request.session_name(params["name"])] if params["name"] else session.names(layout)
    whose = {"account": params["account"], "cluster": params["cluster"]}
    views = {name: leftovers.see(layout, name, scheduler, **whose) for name in names}
    told = [_told(view, layout.session(name).log, log_lines=params["log_lines"]) for name, view in views.items()]
    answer: dict[str, Any] = {"sessions": [each for each in told if each]}
    if params["leftovers"]:
        found = leftovers.find(layout, scheduler, views)
        answer.update(leftovers=found.to_list(), untold=found.untold)
    return answer


def _told(view: View, log: str, *, log_lines: int) -> dict[str, Any]:
    answer = view.to_dict()
    return dict(answer, log_tail=job_log.tail(log, lines=log_lines)) if answer else {}


if __name__ == "__main__":
    main()

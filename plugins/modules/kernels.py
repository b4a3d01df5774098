#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.kernels."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernels
short_description: Register kernels of the account's other environments
version_added: 0.1.0
description:
  - Makes the kernels of other environments known to this account's sessions, and only to them. Kernels that are not
    asked for any more are removed; the person's own, below C(~/.local/share/jupyter), are not touched.
  - Each environment must have C(ipykernel); that is tried out.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
attributes:
  check_mode:
    support: full
    description: Tries the environments and says what would change; changes nothing.
  diff_mode:
    support: full
    description: Shows each C(kernel.json).
options:
  root:
    description: The account's directory, absolute or starting with C(~/), which is the home directory.
    type: str
    required: true
  kernels:
    description: The kernels that sessions shall have beside those of their own environment.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The kernel's name, in small letters.
        type: str
        required: true
      path:
        description: The environment's directory, absolute or starting with C(~/). Its Python is C(bin/python) there.
        type: str
      python:
        description: The environment's Python, instead of O(kernels[].path).
        type: str
      display_name:
        description: What Jupyter shows. If empty, the name.
        type: str
"""

EXAMPLES = r"""
- name: Let notebooks run in two more environments
  hpc.jupyter.kernels:
    root: ~/.local/share/hpc-jupyter/cori
    kernels:
      - name: thesis
        path: ~/envs/thesis
        display_name: Python (thesis)
      - name: tf
        python: /opt/tensorflow/bin/python3
"""

RETURN = r"""
kernels:
  description: The names of the kernels that are registered, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import account, kernels
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

_KERNEL = {
    "name": {"type": "str", "required": True},
    "path": {"type": "str"},
    "python": {"type": "str"},
    "display_name": {"type": "str"},
}
ARGUMENTS = {
    "root": {"type": "str", "required": True},
    "kernels": {"type": "list", "elements": "dict", "default": [], "options": _KERNEL},
}


def main() -> None:
    """Try the environments, then make what is missing and remove what is left over."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**_run(module))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> dict[str, Any]:
    layout = account.layout(module.params["root"])
    wanted = kernels.build(module.params["kernels"])
    for kernel in wanted:
        kernels.verify(kernel)
    changes = kernels.plan(layout, wanted)
    if not module.check_mode:
        kernels.apply(layout, changes)
    diff = [
        {"before_header": item.path, "after_header": item.path, "before": item.before, "after": item.after}
        for item in changes
    ]
    return {"changed": bool(changes), "kernels": [kernel.name for kernel in wanted], "diff": diff}


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.account."""

from __future__ import annotations

DOCUMENTATION = r"""
module: account
short_description: Check an account and make its directories
version_added: 0.1.0
description:
  - Refuses an account on which sessions cannot or should not run, before anything is changed.
  - Makes the account's directories and, when O(account) is given, C(account.json), which says whose they are and that
    the account is set up.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  diff_mode:
    description: Shows the directories and C(account.json).
options:
  root:
    description: The account's directory, absolute or starting with C(~/), which is the home directory.
    type: str
    required: true
  allow_root:
    description: Whether the user root is accepted, as on one's own machine.
    type: bool
    default: false
  account:
    description: The account's name in the inventory. If empty, only directories are made.
    type: str
    default: ""
  sessions:
    description: Whether to make what sessions need below O(root) as well, as with O(account).
    type: bool
    default: false
  state:
    description:
      - With V(absent), everything of ours is removed, O(root) itself unless it holds something else.
      - Directories above it, up to the home directory, go if they are empty then.
    type: str
    choices: [present, absent]
    default: present
  cluster:
    description: The cluster's name.
    type: str
    default: ""
  scheduler:
    description: The cluster's scheduler.
    type: str
    default: none
  detach:
    description: How sessions are let go of where O(scheduler=none).
    type: str
    choices: [setsid, tmux, screen]
    default: setsid
  tls:
    description: When sessions use TLS; V(auto) is on routes that need a TCP port on the cluster.
    type: str
    choices: [auto, always, never]
    default: auto
  idle_limit_seconds:
    description: The most seconds without use that C(hpc-session start) accepts; V(0) accepts everything, never too.
    type: int
    default: 86400
"""

EXAMPLES = r"""
- name: Say that an account is set up
  hpc.jupyter.account:
    root: ~/.local/share/hpc-jupyter/cori
    account: alice@cori
    cluster: cori
    scheduler: slurm
"""

RETURN = r"""
root:
  description: The account's directory, as an absolute path.
  returned: success
  type: str
  sample: /home/alice/.local/share/hpc-jupyter/cori
kept:
  description: What is in O(root) and not ours.
  returned: when O(state=absent)
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import account, removal
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

ARGUMENTS = {
    "root": {"type": "str", "required": True},
    "allow_root": {"type": "bool", "default": False},
    "account": {"type": "str", "default": ""},
    "sessions": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "cluster": {"type": "str", "default": ""},
    "scheduler": {"type": "str", "default": "none"},
    "tls": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "detach": {"type": "str", "choices": ["setsid", "tmux", "screen"], "default": "setsid"},
    "idle_limit_seconds": {"type": "int", "default": 86400},
}


def main() -> None:
    """Check the account, then make what is missing."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**(_remove if module.params["state"] == "absent" else _run)(module))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _remove(module: AnsibleModule) -> dict[str, object]:
    layout = account.layout(module.params["root"])
    planned = removal.plan(layout, cluster=module.params["cluster"], account=module.params["account"])
    if not module.check_mode:
        removal.apply(planned)
    diff = [{"before_header": path, "after_header": path, "before": "there\n", "after": ""} for path in planned.remove]
    return {"changed": bool(planned.remove), "root": layout.root, "kept": list(planned.kept), "diff": diff}


def _run(module: AnsibleModule) -> dict[str, object]:
    layout = account.layout(module.params["root"])
    account.check_usable(layout, allow_root=module.params["allow_root"], probe=not module.check_mode)
    names = ("account", "cluster", "scheduler", "detach", "tls", "idle_limit_seconds")
    facts = {name: str(module.params[name]) for name in names}
    sessions = module.params["sessions"]
    changes = account.plan(layout, sessions=sessions, facts=facts if facts["account"] else None)
    if not module.check_mode:
        account.apply(layout, changes)
    diff = [
        {"before_header": item.path, "after_header": item.path, "before": item.before, "after": item.after}
        for item in changes
    ]
    return {"changed": bool(changes), "root": layout.root, "diff": diff}


if __name__ == "__main__":
    main()

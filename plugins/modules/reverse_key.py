#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.reverse_key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reverse_key
short_description: Let an account's compute nodes make the way back to its login host
version_added: 0.1.0
description:
  - Route C(reverse) needs a key with which a job logs in from its node to the login host. This makes one in the
    account's directory and a line for it in C(~/.ssh/authorized_keys), with which it can forward to the node and do
    nothing else.
  - All other lines stay as they are. If the file is a symbolic link, the file behind it is changed, provided that it is
    the account's own.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  diff_mode:
    description: Shows the line of C(authorized_keys).
options:
  root:
    description: The account's directory, which exists, absolute or starting with C(~/).
    type: str
    required: true
  cluster:
    description: The cluster's name, for the key's comment.
    type: str
    required: true
  state:
    description: V(absent) takes the key and its line away.
    type: str
    choices: [present, absent]
    default: present
  needed:
    description: Whether it is an error if the key cannot be made or listed; else there is a warning.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Let nodes make the way back
  hpc.jupyter.reverse_key:
    root: ~/.local/share/hpc-jupyter/cori
    cluster: cori
"""

RETURN = r"""
public_key:
  description: The public key; empty if there is none.
  returned: success
  type: str
"""

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import account, authorized_keys, reverse_key
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

ARGUMENTS = {
    "root": {"type": "str", "required": True},
    "cluster": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "needed": {"type": "bool", "default": True},
}


def main() -> None:
    """Have the key and its line, or neither."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**_run(module))
    except (HpcJupyterError, OSError) as error:
        if module.params["needed"]:
            module.fail_json(msg=str(error))
        module.warn(f"route reverse will not work: {error}")
        module.exit_json(changed=False, public_key="", diff={"before": "", "after": ""})


def _run(module: AnsibleModule) -> dict[str, object]:
    path = account.layout(module.params["root"]).reverse_key
    before = reverse_key.public_key(path)
    wanted = module.params["state"] == "present"
    makes = wanted and not before
    if makes and not module.check_mode:
        reverse_key.make(path, cluster=module.params["cluster"])
    after = reverse_key.public_key(path) if wanted else ""
    line = reverse_key.line(after, cluster=module.params["cluster"]) if after else ""
    listed = _list(before, line, check_mode=module.check_mode) if before or line else ("", "")
    removes = not wanted and os.path.lexists(path)
    if removes and not module.check_mode:
        _remove(path)
    diff = {
        "before_header": authorized_keys.PATH, "after_header": authorized_keys.PATH,
        "before": listed[0], "after": "# a new key\n" if makes and module.check_mode else listed[1],
    }
    return {"changed": makes or removes or listed[0] != listed[1], "public_key": after, "diff": diff}


def _list(before: str, line: str, *, check_mode: bool) -> tuple[str, str]:
    """Have ``line`` in the file, and no other one for the key that was there before; our lines before and after."""
    path = authorized_keys.target()
    text = authorized_keys.read(path)
    kept = authorized_keys.without_key(text, before.partition(" ")[2]) if not line or before not in line else text
    new = authorized_keys.with_line(kept, line) if line else kept
    if new != text and not check_mode:
        authorized_keys.write(path, new)
    return _changed(text, new), _changed(new, text)


def _changed(text: str, other: str) -> str:
    """The lines that ``other`` has not."""
    return "".join(f"{line}\n" for line in text.splitlines() if line not in other.splitlines())


def _remove(path: str) -> None:
    for name in (path, f"{path}.pub"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


if __name__ == "__main__":
    main()

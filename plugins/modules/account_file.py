#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.account_file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: account_file
short_description: Write a small private file of the account's
version_added: 0.1.0
description:
  - Writes a text whole or not at all, for the account alone, in one round trip.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  diff_mode:
    description: Shows the file before and after.
options:
  path:
    description: Where the file goes. Its directory must be there, except in check mode.
    type: path
    required: true
  content:
    description: Its text. Where that is a secret, give the task C(no_log) and C(diff=false).
    type: str
    required: true
  mode:
    description: Its mode, V(0700) for a script.
    type: str
    choices: ["0600", "0700"]
    default: "0600"
"""

EXAMPLES = r"""
- name: Write environment.sh
  hpc.jupyter.account_file:
    path: ~/.local/share/hpc-jupyter/cori/environment.sh
    content: |
      export HPC_JUPYTER_PYTHON=/opt/jupyter/bin/python
"""

RETURN = r"""
path:
  description: Where the file is.
  returned: success
  type: str
"""

import os
import stat

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "choices": ["0600", "0700"], "default": "0600"},
}


def main() -> None:
    """Write the file where it differs."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**_run(module))
    except OSError as error:
        module.fail_json(msg=f"{module.params['path']}: {error.strerror or error}")


def _run(module: AnsibleModule) -> dict[str, object]:
    path, mode, content = (module.params[name] for name in ("path", "mode", "content"))
    before, found = _read(path), _mode(path)
    changed = before != content.encode() or found != mode
    if changed and not module.check_mode:
        write_private(path, content.encode(), mode=int(mode, 8))
    diff = {"before_header": f"{path} {found}".rstrip(), "after_header": f"{path} {mode}",
            "before": before.decode("utf-8", "replace"), "after": content}  # fmt: skip
    return {"changed": changed, "path": path, "diff": diff}


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""


def _mode(path: str) -> str:
    try:
        return f"{stat.S_IMODE(os.stat(path).st_mode):04o}"
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    main()

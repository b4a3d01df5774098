#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.account_command."""

from __future__ import annotations

DOCUMENTATION = r"""
module: account_command
short_description: Install the account's own command
version_added: 0.1.0
description:
  - Installs C(hpc-session), with which the account starts, shows and stops its sessions without Ansible, and which
    is the program that a session's job runs. It is one file, made of the code of this collection.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  diff_mode:
    description: Shows the release before and after.
options:
  path:
    description: Where the program goes.
    type: path
    required: true
  link:
    description:
      - A link to the program, in a directory that is on C(PATH). It is made if nothing else is there.
      - If empty, none is made.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Install the account's own command
  hpc.jupyter.account_command:
    path: ~/.local/share/hpc-jupyter/cori/hpc-session
    link: ~/.local/bin/hpc-session
"""

RETURN = r"""
path:
  description: Where the program is.
  returned: success
  type: str
version:
  description: The release of the program.
  returned: success
  type: str
  sample: hpc.jupyter 0.1.0
linked:
  description: Whether O(link) leads to the program, or would.
  returned: success
  type: bool
"""

import hashlib
import os
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import archive, command
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "link": {"type": "path", "default": ""},
}


def main() -> None:
    """Install the program and link to it."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**_run(module))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['path']}: {error.strerror or error}")


def _run(module: AnsibleModule) -> dict[str, object]:
    path, link = module.params["path"], module.params["link"]
    content = archive.pack(command, python=archive.base_python())
    before, linked = _describe(path), os.path.realpath(link) == os.path.realpath(path) if link else False
    stale = before["sha256"] != _sum(content) or before["mode"] != "0755"
    free = bool(link) and not linked and _is_free(link)
    if not module.check_mode:
        if stale:
            _install(path, content)
        if free:
            _link(link, path)
    after = {"version": f"hpc.jupyter {VERSION}", "mode": "0755", "sha256": _sum(content)}
    return {
        "changed": stale or free,
        "path": path,
        "version": after["version"],
        "linked": linked or free,
        "diff": {
            "before": {path: before, link or "link": "there" if linked else ""},
            "after": {path: after, link or "link": "there" if linked or free else ""},
        },
    }


def _describe(path: str) -> dict[str, str]:
    try:
        mode = f"{stat.S_IMODE(os.stat(path).st_mode):04o}"
    except FileNotFoundError:
        return {"version": "", "mode": "", "sha256": ""}
    return {"version": archive.version(path) or "something else", "mode": mode, "sha256": _sum(_read(path))}


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return b""


def _install(path: str, content: bytes) -> None:
    """Replace the program in one step; a supervisor that runs keeps the file it was started from."""
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o755)  # noqa: S103  (others cannot enter the directory)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _is_free(link: str) -> bool:
    """Whether nothing is there, or a link of ours that leads to a program that was removed."""
    if not os.path.lexists(link):
        return True
    return os.path.islink(link) and os.path.basename(os.readlink(link)) == "hpc-session" and not os.path.exists(link)


def _link(link: str, path: str) -> None:
    os.makedirs(os.path.dirname(link), mode=0o755, exist_ok=True)
    if os.path.islink(link):
        os.unlink(link)
    os.symlink(path, link)


if __name__ == "__main__":
    main()

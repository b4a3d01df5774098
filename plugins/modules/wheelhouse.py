#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.wheelhouse."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheelhouse
short_description: Keep a directory of wheels on an account
version_added: 0.1.0
description:
  - Says which wheels a directory lacks, by their hashes, and takes them out of an archive that was sent.
  - Several accounts may fill one directory at once; each file is there whole or not at all.
  - M(hpc.jupyter.environment) uses it on accounts that cannot reach a package index.
author: The hpc.jupyter contributors (@hpc-jupyter)
attributes:
  check_mode:
    support: full
    description: Says what is missing and changes nothing.
  diff_mode:
    support: none
    description: There is nothing to compare.
options:
  places:
    description:
      - Directories in the order of preference. The first one is used that has everything, or that this account may
        write to.
    type: list
    elements: path
    required: true
  wheels:
    description: The SHA-256 of each wheel, by its file name.
    type: dict
    required: true
  archive:
    description: A tar archive on the account with the wheels that are missing. If empty, nothing is written.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Ask what is missing
  hpc.jupyter.wheelhouse:
    places: [/projects/lab/wheels]
    wheels: "{{ hashes }}"
"""

RETURN = r"""
path:
  description: The directory that was chosen.
  returned: success
  type: str
missing:
  description: The wheels that it lacks.
  returned: success
  type: list
  elements: str
note:
  description: In words why it is not the first of O(places), empty if it is.
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import wheels
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

ARGUMENTS = {
    "places": {"type": "list", "elements": "path", "required": True},
    "wheels": {"type": "dict", "required": True},
    "archive": {"type": "path", "default": ""},
}


def main() -> None:
    """Say what is missing, or put it into its place."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**_run(module))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> dict[str, object]:
    wanted = {os.path.basename(name): sha256 for name, sha256 in module.params["wheels"].items()}
    path, lacking, note = wheels.choose(module.params["places"], wanted)
    changed = bool(lacking and module.params["archive"]) and not module.check_mode
    if changed:
        wheels.unpack(module.params["archive"], path, wanted)
        lacking = wheels.missing(path, wanted)
    return {"changed": changed, "path": path, "missing": lacking, "note": note}


if __name__ == "__main__":
    main()

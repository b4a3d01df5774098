#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: leftovers
short_description: Remove what earlier Jupyter sessions have left on an account
version_added: 0.1.0
description:
  - Removes what is dead. Records and logs of sessions that have ended, directories that killed jobs left on this host,
    locks of processes that are gone, files that were half made.
  - Touches nothing that is in use, that belongs to somebody else, or that is a link. Each thing is looked at again at
    the moment of its removal.
  - Never ends a job, not even one that no record knows; M(hpc.jupyter.session) with O(hpc.jupyter.session#module:every)
    does.
  - Where the scheduler cannot be asked, everything that a session may need stays.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.account
  - hpc.jupyter.site
attributes:
  check_mode:
    description: Says what would be removed, and changes nothing.
    support: full
  diff_mode:
    description: Shows what is removed.
    support: full
options:
  only:
    description: Remove nothing but these paths, as M(hpc.jupyter.session_info) has named them. All if not given.
    type: list
    elements: str
seealso:
  - module: hpc.jupyter.session
  - module: hpc.jupyter.session_info
"""

EXAMPLES = r"""
- name: Remove what is dead
  hpc.jupyter.leftovers:
    account: alice@cori
    cluster: cori
    scheduler: slurm
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: One of V(landing), V(node), V(window), V(lock), V(file), V(session).
      type: str
      sample: landing
    where:
      description: Its path.
      type: str
      sample: /tmp/hpcl-4k2j9x1q
    what:
      description: What it is, and why nobody needs it.
      type: str
      sample: the way back to a session that has ended
    session:
      description: The session that it belonged to, empty if that is not known.
      type: str
      sample: default
    since:
      description: When it was last written, ISO 8601 in UTC.
      type: str
      sample: "2026-11-21T09:00:00Z"
    host:
      description: The host that it was on.
      type: str
      sample: login1
    verb:
      description: V(clean), for what is removed here.
      type: str
      sample: clean
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import answers, arguments, leftovers, session, words
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.leftovers import Leftover
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name

_OPTIONS = {"only": {"type": "list", "elements": "str"}}


def main() -> None:
    """Run the module."""
    ansible = AnsibleModule(argument_spec=dict(arguments.ACCOUNT_OPTIONS, **_OPTIONS), supports_check_mode=True)
    try:
        removed = _remove(ansible, answers.layout_of(ansible.params))
        before = "".join(f"{words.leftover_line(asdict(each))}\n" for each in removed)
        ansible.exit_json(
            changed=bool(removed), removed=[asdict(each) for each in removed], diff={"before": before, "after": ""}
        )
    except (HpcJupyterError, OSError) as error:
        ansible.fail_json(**answers.failure(error))


def _remove(ansible: AnsibleModule, layout: Layout) -> list[Leftover]:
    params = ansible.params
    scheduler = by_name(params["scheduler"], root=layout.root, detach=params["detach"], site=params["site"])
    whose = {"account": params["account"], "cluster": params["cluster"]}
    views = {name: leftovers.see(layout, name, scheduler, **whose) for name in session.names(layout)}
    if not ansible.check_mode:
        return leftovers.remove(layout, scheduler, views, only=params["only"])
    dead = leftovers.find(layout, scheduler, views).dead
    return [each for each in dead if params["only"] is None or each.where in params["only"]]


if __name__ == "__main__":
    main()

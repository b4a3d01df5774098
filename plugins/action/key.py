# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.key: the person's key, on the controller."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.hpc.jupyter.plugins.plugin_utils import keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils.account_action import AccountAction
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.own_ssh import Place, blocks, read
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, state_directory
from ansible_collections.hpc.jupyter.plugins.plugin_utils.variables import check_role


class ActionModule(AccountAction):
    """Find the key, make it if there is none, or remove the one that was made here."""

    _arguments: ClassVar[dict[str, Any]] = {
        "path": {"type": "str", "default": "", "no_log": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }

    def _cluster(self, task_vars: Mapping[str, Any]) -> Cluster:
        """The cluster; as a role's first task, this checks the role's variables."""
        check_role("jupyter_access", task_vars, self._templar.template)
        return super()._cluster(task_vars)

    def _act(self, cluster: Cluster, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing of it happens on the account."""
        if cluster.local:
            return {"path": "", "public_key": ""}
        if arguments["state"] == "present":
            return self._present(arguments["path"], cluster)
        return self._absent(arguments["path"], cluster.account)

    def _present(self, path: str, cluster: Cluster) -> dict[str, Any]:
        place = Place.at_home()
        identity = Files(state_directory(cluster.account)).identity
        known = [] if path else keys.candidates(
            cluster.login_hosts[0], user=cluster.user, config=place.config, identity=identity
        )
        key = keys.find(path, ssh_directory=place.ssh, configured=known)
        if key.made and not self._task.check_mode:
            key = keys.make(key)
        after = f"{key.path}: a new ed25519 key\n" if key.made else ""
        return {"changed": key.made, "path": key.path, "public_key": key.public,
                "diff": {"before": "", "after": after}}

    def _absent(self, path: str, account: str) -> dict[str, Any]:
        """Another account that was set up from here may need it."""
        place = Place.at_home()
        found = keys.made_here(place.ssh, path)
        if not found or _is_needed(found, place, account):
            return {"changed": False, "path": found}
        if not self._task.check_mode:
            keys.remove_made(found)
        return {"changed": True, "path": found, "diff": {"before": f"{found}: made by hpc.jupyter\n", "after": ""}}


def _is_needed(key: str, place: Place, account: str) -> bool:
    """Whether another account uses the key; not every one has an alias in ``~/.ssh``."""
    if set(blocks(read(place.aliases) or b"")) - {account}:
        return True
    own = state_directory(account)
    others = glob.glob(os.path.join(glob.escape(os.path.dirname(own)), "*", "identity"))
    return any(key.encode() in (read(path) or b"") for path in others if os.path.dirname(path) != own)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.session: the module, and what ssh has to know to reach a session that is ready.

In a play with a gate, it is ready to go before that opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import gate
from ansible_collections.hpc.jupyter.plugins.plugin_utils.account_action import AccountAction
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import open_master
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, state_directory, write
from ansible_collections.hpc.jupyter.plugins.plugin_utils.trust import trust


class ActionModule(AccountAction):
    """Run the module, and trust the hosts of its answer."""

    _requires_connection = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's answer; where hpc.jupyter.connect left that for later, with the Python that was found."""
        result: dict[str, Any] = ActionBase.run(self, tmp, task_vars)
        variables = dict(task_vars or {})
        answer: dict[str, Any] = {}
        try:
            found = self._gone_through(variables) if gate.is_there() else {}
            answer = self._execute_module(task_vars=variables, wrap_async=bool(self._task.async_val))
            connected = self._connected(variables, answer.get("session") or {})
        except (HpcJupyterError, OSError) as error:
            raise AnsibleActionFail(str(error), result={**answer, "kind": getattr(error, "cause", "")}) from None
        told = {"ansible_facts": found} if found else {}
        return {**result, **answer, **told, "connected": connected}

    def _connected(self, variables: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """What a session that is ready is reached with: its record came over a checked connection.

        Who started the play with a gate is on the way there already, and has said whom to trust.
        """
        is_known = self._connection.transport == "local" or "hpc_login_hosts" in variables
        if record.get("state") != "ready" or not is_known:
            return {}
        cluster = self._cluster(variables)
        if cluster.local:
            return {"cluster": cluster.to_dict(), "ssh_config": ""}
        files = Files(state_directory(cluster.account))
        if not gate.is_there():
            trust(cluster, files, record)
        return {"cluster": cluster.to_dict(), "ssh_config": files.config}

    def _gone_through(self, variables: dict[str, Any]) -> dict[str, str]:
        """What is found out behind the gate, also noted in ``variables``."""
        cluster = self._cluster(variables)
        gate.pass_through()
        found = {} if cluster.local else self._found_by_login(cluster, write(cluster))
        variables["ansible_facts"] = {**variables.get("ansible_facts", {}), **found}
        return found

    def _found_by_login(self, cluster: Cluster, files: Files) -> dict[str, str]:
        """The account's Python; the login is there already, unless it was cut off meanwhile."""
        open_master(cluster, files)
        return self._python(cluster, files)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions share that run on the controller for one account."""

from __future__ import annotations

from typing import Any

from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster


def account_cluster(action: Any, task_vars: dict[str, Any]) -> Cluster:
    """The cluster's facts with their templates rendered; the connection as Ansible has settled it."""
    names = [name for name in task_vars if name.startswith("hpc_") or name == "ansible_user"]
    facts = {name: action._templar.template(task_vars[name]) for name in names}  # noqa: SLF001
    facts["ansible_connection"] = action._connection.transport  # noqa: SLF001
    return Cluster.from_facts(facts, account=task_vars["inventory_hostname"])

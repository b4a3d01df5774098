# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions have in common that run on the controller for one account."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import filter_loader, test_loader
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, place
from ansible_collections.hpc.jupyter.plugins.plugin_utils.interpreter import interpreter
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import origins
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import run_remote
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files

_SEARCH_SECONDS = 120
"""Modules may take that long to be listed and loaded, on machines whose own Python is too old."""

# A strategy imports an action before it forks a process for each task of each account: what is loaded here is there in
# all of them. Otherwise each would load all filters and tests for itself, which takes longer than most tasks.
# Whoever imports this without Ansible's own finder of collections has no ansible.builtin.
_ALL_OF = (
    (filter_loader, "ansible.builtin.string"), (test_loader, "ansible.builtin.defined"),
    (filter_loader, "hpc.jupyter.listed"),
)  # fmt: skip
for _loader, _name in _ALL_OF:
    with contextlib.suppress(KeyError):
        _loader.get(_name)


class AccountAction(ActionBase):  # type: ignore[misc]  # ansible carries no types
    """Checks the cluster's facts, then acts; a failure says in which file and line a fact is wrong."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True
    _arguments: ClassVar[dict[str, Any]] = {}
    """The argument spec."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of ``_act``, over those that every action has."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(argument_spec=self._arguments)
        variables = task_vars or {}
        try:
            return {**result, "changed": False, **self._act(self._cluster(variables), arguments)}
        except BadInput as error:
            raise AnsibleActionFail(str(error.at(place(error.field, origins(_ours(variables)))))) from None
        except (HpcJupyterError, OSError) as error:
            raise AnsibleActionFail(str(error), result={"kind": getattr(error, "cause", "")}) from None

    def _act(self, cluster: Cluster, arguments: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _cluster(self, task_vars: Mapping[str, Any]) -> Cluster:
        """The cluster's facts with their templates rendered; the connection as Ansible has settled it."""
        names = [name for name in task_vars if name.startswith("hpc_") or name == "ansible_user"]
        facts = {name: self._templar.template(task_vars[name]) for name in names}
        facts["ansible_connection"] = self._connection.transport
        self._interpreter = self._templar.template(task_vars.get("ansible_python_interpreter")) or "auto"
        return Cluster.from_facts(facts, account=task_vars["inventory_hostname"])

    def _python(self, cluster: Cluster, files: Files) -> dict[str, str]:
        """What Ansible would find out by itself, looking at less; nothing where the inventory names a Python."""
        if not str(self._interpreter).startswith("auto"):
            return {}

        def ask(argv: Sequence[str]) -> str:
            return run_remote(cluster, files, argv, timeout_seconds=_SEARCH_SECONDS).stdout

        return {"discovered_interpreter_python": interpreter(cluster, files, ask)}


def _ours(task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a person writes for this collection, and Ansible's own of the connection."""
    return {name: value for name, value in task_vars.items() if name.startswith(("hpc_", "ansible_"))}

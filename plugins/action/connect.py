# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.connect: the first task of every play; all of it happens on the controller."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.jupyter.plugins.filter.ssh_args import ssh_args
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.account_action import account_cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.answer import answering
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, place
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import origins
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import open_master
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, write
from ansible_collections.hpc.jupyter.plugins.plugin_utils.trust import trust

_SSH_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
_ASIDE = re.compile(r"(?:^|\s)-[46AaCfGgKkMNnqsTtVvXxYy]*[FJ]|(?i:proxycommand|proxyjump|hostname|hostkeyalias)")
"""Options that lead to another host, or over another configuration."""

_UNCHECKED = re.compile(r"(?i)stricthostkeychecking[= ]*(?:no|off|accept-new)|userknownhostsfile[= ]*/dev/null")


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible carries no types
    """Check the cluster's facts, write the ssh configuration, open the login master."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Never changes an account, so there is no difference in check mode."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "timeout_seconds": {"type": "int", "default": 60},
                "record": {"type": "dict"},
            }
        )
        variables = task_vars or {}
        try:
            return {**result, "changed": False, **self._connect(variables, arguments)}
        except BadInput as error:
            raise AnsibleActionFail(str(error.at(place(error.field, origins(_ours(variables)))))) from None
        except (HpcJupyterError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None

    def _connect(self, task_vars: dict[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        cluster = account_cluster(self, task_vars)
        if cluster.local:
            return {"cluster": cluster.to_dict(), "opened": False, "ssh_config": ""}
        self._check_connection(cluster)
        self._check_arguments(cluster)
        files = write(cluster)
        if arguments["record"]:
            trust(cluster, files, arguments["record"])
        opened = self._open(cluster, files, seconds=arguments["timeout_seconds"])
        return {"cluster": cluster.to_dict(), "opened": opened, "ssh_config": files.config}

    def _check_connection(self, cluster: Cluster) -> None:
        """Nothing in the inventory may lead Ansible around the generated ssh configuration."""
        if self._connection.transport != "ssh":
            raise BadInput("ansible_connection", f"{self._connection.transport!r} is not one of local, ssh")
        host = self._connection.get_option("host")
        if host == cluster.account != cluster.name:
            raise BadInput(
                "ansible_host", "is not set, so that Ansible would go around the generated ssh configuration",
                hint="Give the play the variables of hpc.jupyter's playbooks/group_vars/all.yml",
            )
        if host != cluster.name:
            raise BadInput(
                "ansible_host", f"is {host}, which would go around the gateways and the pinned host keys",
                hint="Remove it, and write the login host's name into hpc_login_hosts",
            )
        if self._connection.get_option("host_key_checking") is False:
            raise BadInput("ansible_ssh_host_key_checking", "is false; host keys are always checked", hint="Remove it")

    def _check_arguments(self, cluster: Cluster) -> None:
        """ssh gets the account's own configuration, and no other way than the one that is written there."""
        given = {option: _words(self._connection.get_option(option)) for option in _SSH_ARGUMENTS}
        for option, text in given.items():
            if _UNCHECKED.search(text):
                raise BadInput(
                    f"ansible_{option}", "turns the check of host keys off",
                    hint="Remove that, and pin the site's fingerprints in hpc_host_keys",
                )
            if option != "ssh_args" and _ASIDE.search(text):
                raise BadInput(
                    f"ansible_{option}", "leads around the gateways and the pinned host keys",
                    hint="Remove that; the way belongs into hpc_gateways and hpc_login_hosts",
                )
        if given["ssh_args"] != _words(ssh_args(cluster.account)):
            raise BadInput(
                "ansible_ssh_args", "does not lead over the generated ssh configuration",
                hint="Remove it where it is set, and give the play the variables of hpc.jupyter's "
                "playbooks/group_vars/all.yml; options of your own belong into ~/.ssh/config",
            )

    def _open(self, cluster: Cluster, files: Files, *, seconds: int) -> bool:
        """A password given to Ansible is told to every hop of the cluster that asks for one."""
        password = self._connection.get_option("password")
        if not password:
            return open_master(cluster, files, timeout_seconds=seconds)
        with answering(cluster, files, password=str(password)) as askpass:
            return open_master(cluster, files, askpass=askpass, once=True, timeout_seconds=seconds)


def _ours(task_vars: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a person writes for this collection, and Ansible's own of the connection."""
    return {name: value for name, value in task_vars.items() if name.startswith(("hpc_", "ansible_"))}


def _words(arguments: object) -> str:
    """ssh's arguments as ssh gets them, without the quotes of a shell."""
    try:
        return " ".join(shlex.split(str(arguments or "")))
    except ValueError:
        return str(arguments)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.doctor: the way to the account from here, then what the module finds there."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible_collections.hpc.jupyter.plugins.action.connect import ActionModule as Connect
from ansible_collections.hpc.jupyter.plugins.module_utils import doctor
from ansible_collections.hpc.jupyter.plugins.module_utils.arguments import SITE
from ansible_collections.hpc.jupyter.plugins.module_utils.doctor import FAIL, OK, Check
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import diagnosis
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import ConnectFailed, run_remote
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, write

_MODULE = "hpc.jupyter.doctor"


class ActionModule(Connect):
    """Everything that is wrong is a line of the answer; the play goes on."""

    _arguments: ClassVar[dict[str, Any]] = {
        "account": {"type": "str", "required": True},
        "cluster": {"type": "str", "required": True},
        "scheduler": {"type": "str", "required": True},
        "root": {"type": "str"},
        "detach": {"type": "str", "default": "setsid"},
        "site": SITE,
        "resources": {"type": "dict"},
        "timeout_seconds": {"type": "int", "default": 60},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Facts that are wrong are what is wrong with the account."""
        try:
            return dict(super().run(tmp, task_vars))
        except AnsibleActionFail as error:
            return _told([Check("facts", FAIL, str(error), "Correct the inventory")])

    def _act(self, cluster: Cluster, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if cluster.local:
            return _told([Check("facts", OK, "the account is on this machine"), *self._there(cluster, arguments)])
        self._check_connection(cluster)
        self._check_arguments(cluster)
        files = write(cluster)
        way = self._way(cluster, files, seconds=arguments["timeout_seconds"])
        if any(check.state == FAIL for check in way):
            return _told(way)
        try:
            way.append(diagnosis.shell(run_remote(cluster, files, ["true"]).noise))
            facts = self._python(cluster, files)
        except HpcJupyterError as error:
            return _told([*way, diagnosis.refused(str(error).removeprefix(f"{cluster.name}: "), name="python")])
        self._variables["ansible_facts"] = {**self._variables.get("ansible_facts", {}), **facts}
        worked = _read(os.path.join(files.directory, "route"))
        return {**_told([*way, *self._there(cluster, arguments, worked=worked)]), "ansible_facts": facts}

    def _way(self, cluster: Cluster, files: Files, *, seconds: int) -> list[Check]:
        heard: list[str] = []
        try:
            opened = self._open(cluster, files, seconds=seconds, heard=heard)
        except ConnectFailed as error:
            near = diagnosis.first_hop(cluster)
            if any(check.state == FAIL for check in near):
                return near
            return [*near, *diagnosis.kept_out(cluster, str(error), cause=error.cause, said="\n".join(heard))]
        near = [check for check in diagnosis.first_hop(cluster) if check.state == OK] if opened else []
        return [*near, *diagnosis.let_in(cluster, "\n".join(heard), opened=opened)]

    def _there(self, cluster: Cluster, arguments: Mapping[str, Any], *, worked: str = "") -> list[Check]:
        """One execution on the account."""
        given = {name: value for name, value in arguments.items() if value is not None}
        given.update(route=cluster.route, worked=worked, allow_root=cluster.local)
        before = time.time()
        answer = self._execute_module(module_name=_MODULE, module_args=given, task_vars=self._variables)
        if "checks" not in answer:
            said = str(answer.get("msg") or "it gave no reason")
            return [Check("account", FAIL, f"the account could not be looked at: {said}")]
        clock = diagnosis.clock(float(answer["now"]), before=before, after=time.time())
        return [clock, *(_check(each) for each in answer["checks"])]


def _told(checks: Sequence[Check]) -> dict[str, Any]:
    told = [check.to_dict() for check in checks]
    return {"changed": False, "checks": told, "state": doctor.worst(told)}


def _check(told: Mapping[str, str]) -> Check:
    return Check(told["check"], told["state"], told["text"], told["remedy"])


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as stream:
        return stream.read().strip()
    return ""

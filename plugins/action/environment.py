# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.environment: the module of that name; where an account has no package index, with our wheels."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.jupyter.plugins.module_utils import packages
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import variables, wheelhouse
from ansible_collections.hpc.jupyter.plugins.plugin_utils.wheelhouse import House, Order, Platform

_MODULE = "hpc.jupyter.environment"
_KEEPER = "hpc.jupyter.wheelhouse"
_WANTED = "wheels_wanted"
_PUSH_SECONDS = 900


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible carries no types
    """Check the role's variables; then one round trip, and some more where the wheels have to come from here."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's own result; ``offline`` says what was done for want of an index."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._variables = task_vars or {}
        arguments = dict(self._task.args)
        try:
            variables.check_role("jupyter_environment", self._variables, self._templar.template)
            answer = self._on_account(_MODULE, arguments)
            if not answer.get("failed") and _WANTED in answer:
                answer = self._with_wheels(arguments, answer[_WANTED])
        except (HpcJupyterError, OSError) as error:
            raise AnsibleActionFail(_hidden(str(error), arguments)) from None
        return {**result, **answer}

    def _with_wheels(self, arguments: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        why, platform = wanted["why"], Platform(wanted["markers"], wanted["glibc"])
        order = Order(
            platform, [arguments["lock"], arguments["uv_lock"]], arguments["uv_lock"],
            packages=arguments.get("packages") or (), debugger=wanted["debugger"],
        )  # fmt: skip
        self._display.vv(f"{why}: fetching wheels for {platform}", host=self._variables.get("inventory_hostname"))
        house = wheelhouse.provide(order)
        kept = self._send(house, wanted["places"])
        more = {"wheelhouse": kept["path"], "packages_lock": house.more_lock}
        answer = self._on_account(_MODULE, {**arguments, **more})
        note = f" ({kept['note']})" if kept["note"] else ""
        text = (
            f"{why}, so {len(house.hashes)} packages for {platform} came from this machine, "
            f"{kept['sent'] or 'none'} of them sent now to {kept['path']}{note}"
        )
        return {**answer, "offline": text}

    def _send(self, house: House, places: list[str]) -> dict[str, Any]:
        """What is missing, once a cluster: whoever comes at the same time waits, and finds it there."""
        shared = f"{self._variables.get('inventory_hostname', '').rpartition('@')[2]} {places[0]}"
        name = hashlib.sha256(shared.encode()).hexdigest()[:16]
        with wheelhouse.holding(os.path.join(wheelhouse.cache(), f"{name}.push"), seconds=_PUSH_SECONDS):
            return self._push(house, places)

    def _push(self, house: House, places: list[str]) -> dict[str, Any]:
        about = {"places": places, "wheels": dict(house.hashes)}
        seen = self._kept(about)
        if not seen["missing"]:
            return {**seen, "sent": 0}
        there = self._make_tmp_path()
        try:
            with tempfile.TemporaryDirectory() as here:
                archive = os.path.join(here, "wheels.tar")
                house.pack(seen["missing"], archive)
                sent = self._transfer_file(archive, os.path.join(there, "wheels.tar"))
            done = self._kept({**about, "archive": sent})
        finally:
            self._remove_tmp_path(there)
        if done["missing"]:
            raise HpcJupyterError(f"{len(done['missing'])} wheels did not arrive in {done['path']}: run it again")
        return {**done, "sent": len(seen["missing"])}

    def _kept(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._on_account(_KEEPER, arguments)
        if answer.get("failed"):
            raise HpcJupyterError(str(answer.get("msg") or "the account gave no reason"))
        return answer

    def _on_account(self, module: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name=module, module_args=dict(arguments), task_vars=self._variables
        )
        return answer


def _hidden(text: str, arguments: Mapping[str, Any]) -> str:
    """``text`` without the passwords in the addresses of packages."""
    for secret in packages.secrets(arguments.get("packages") or ()):
        text = text.replace(secret, "********")
    return text

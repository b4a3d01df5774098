# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.certificate: the account makes the key, the controller signs where the lab has an authority."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authority import Authority

_MODULE = "hpc.jupyter.account_certificate"
_PASSPHRASE = "jupyter_server_authority_passphrase"  # noqa: S105 - the name of a variable
_LAST_DAYS = 1
"""Whoever lacks the passphrase keeps the authority's certificate until then: a self-signed one would be worse."""


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible carries no types
    """Look at the account's certificate, and have another one made if it is not good."""

    _supports_check_mode = True
    _supports_diff = True
    _arguments: ClassVar[dict[str, Any]] = {
        "directory": {"type": "str", "required": True},
        "days": {"type": "int", "default": 365},
        "authority": {"type": "str", "default": ""},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """One round trip where all is well, three where the authority signs."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(argument_spec=self._arguments)
        self._variables = task_vars or {}
        try:
            return {**result, "note": "", "wants_passphrase": False, **self._act(arguments)}
        except (HpcJupyterError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None

    def _act(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        sources = self._variables.get("ansible_inventory_sources") or ()
        place = authority.Place(os.path.expanduser(arguments["authority"]) or authority.beside(sources))
        lab = authority.read(place)
        if lab is None:
            return self._on_account(arguments, step="sign")
        seen = self._on_account(arguments, step="look", renew_days=0)  # how near its end may be is for the lab to say
        renew_days = authority.renew_days(arguments["days"])
        problem = seen["problem"] or lab.problem(seen["certificate"], renew_days=renew_days)
        if not problem:
            return {"changed": False, "fingerprint": seen["fingerprint"], "diff": _diff(seen, seen["fingerprint"])}
        obstacle = lab.obstacle(passphrase=bool(self._passphrase))
        if obstacle:
            return self._without_authority(arguments, lab, seen, f"{problem}, and {obstacle}")
        return self._issue(arguments, lab, seen, problem)

    def _issue(
        self, arguments: Mapping[str, Any], lab: Authority, seen: Mapping[str, Any], problem: str
    ) -> dict[str, Any]:
        signer = lab.signer(self._passphrase)  # before the account makes a key that nobody can sign
        if self._task.check_mode:
            return {"changed": True, "fingerprint": seen["fingerprint"], "diff": _diff(seen, "(new)", problem)}
        request = self._on_account(arguments, step="request")["request"]
        signed = signer.sign(request, days=arguments["days"])
        done = self._on_account(arguments, step="install", certificate=signed)
        return {
            "changed": True, "fingerprint": done["fingerprint"], "diff": _diff(seen, done["fingerprint"], problem),
        }  # fmt: skip

    def _without_authority(
        self, arguments: Mapping[str, Any], lab: Authority, seen: Mapping[str, Any], problem: str
    ) -> dict[str, Any]:
        theirs = lab.vouches(seen["certificate"])
        more = {"renew_days": _LAST_DAYS} if theirs else {}
        done = self._on_account(arguments, step="sign", **more)
        note = f"No certificate of the lab's authority: {problem}"
        return {**done, "note": note, "wants_passphrase": not lab.obstacle(passphrase=True)}

    @property
    def _passphrase(self) -> str:
        return str(self._templar.template(self._variables.get(_PASSPHRASE, "")) or "")

    def _on_account(self, arguments: Mapping[str, Any], *, step: str, **more: Any) -> dict[str, Any]:
        given = {"directory": arguments["directory"], "days": arguments["days"], "step": step, **more}
        answer: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=given, task_vars=self._variables
        )
        if answer.get("failed"):
            raise AnsibleActionFail(str(answer.get("msg") or "the account gave no reason"))
        return {name: value for name, value in answer.items() if name != "invocation"}


def _diff(seen: Mapping[str, Any], after: str, problem: str = "") -> dict[str, str]:
    why = f"# {problem}\n" if problem else ""
    return {
        "before_header": seen["path"], "after_header": seen["path"],
        "before": f"SHA-256 {seen['fingerprint']}\n" if seen["fingerprint"] else "",
        "after": f"{why}SHA-256 {after}\n",
    }  # fmt: skip

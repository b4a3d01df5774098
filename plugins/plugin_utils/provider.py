# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions have in common that fill an account's directory: look, decide, then change what has to be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.hpc.jupyter.plugins.module_utils.certificate import ASKED_FOR
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority, packing
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authority import Authority, Signer

_MODULE = "hpc.jupyter.account"
_PASSPHRASE = "jupyter_server_authority_passphrase"  # noqa: S105 - the name of a variable
_TOLD = ("changed", "root", "diff", "warnings", "renewed")
_LAST_DAYS = 1
"""Whoever lacks the passphrase keeps the authority's certificate until then: a self-signed one would be worse."""


@dataclass(frozen=True)
class Decision:
    """What becomes of the certificate: module parameters, or a signer; ``note`` is why it is not the authority's."""

    parameters: Mapping[str, Any]
    signer: Signer | None = None
    problem: str = ""
    note: str = ""
    wants_passphrase: bool = False


_AS_IT_IS = Decision({})


class Provider(ActionBase):  # type: ignore[misc]  # ansible carries no types
    """One round trip where all is well, two where something changes, three where the lab's authority signs."""

    _supports_check_mode = True
    _supports_diff = True
    _arguments: ClassVar[dict[str, Any]] = {}
    """The argument spec."""
    _passed: ClassVar[tuple[str, ...]] = ()
    """The arguments that the module has as well."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """What changed, and what is to be said of the certificate."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._variables = task_vars or {}
        try:
            self._check()
            _spec, arguments = self.validate_argument_spec(argument_spec=self._arguments)
            return {**result, **self._act(arguments)}
        except (HpcJupyterError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None

    def _check(self) -> None:
        """Raise ``BadInput`` for a variable that cannot be, before anything is asked."""

    def _wanted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The module's parameters."""
        return {name: arguments[name] for name in self._passed}

    def _found_out(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        """Those that depend on what the account has, where it has to have something else."""
        return {"program": packing.packed()} if seen["program"] else {}

    def _act(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        certified = arguments.get("tls") != "never"
        wanted = {**self._wanted(arguments), "certificate": "look" if certified else ""}
        lab = self._authority(arguments) if certified else None
        # How near its end may be is for the lab to say.
        seen = self._on_account({**wanted, "look": True, **({"renew_days": 0} if lab else {})})
        more = self._found_out(seen)
        decided = self._decide(lab, arguments, seen) if certified else _AS_IT_IS
        done = seen
        if decided.signer:
            done = self._signed({**wanted, **more}, decided, decided.signer)
        elif seen["changed"] or more or decided.parameters:
            done = self._on_account({**wanted, **more, **decided.parameters})
        told: dict[str, Any] = {name: done[name] for name in _TOLD if name in done}
        fingerprint = done["certificate"]["fingerprint"] if certified else ""
        return {**told, "fingerprint": fingerprint, "note": decided.note, "wants_passphrase": decided.wants_passphrase}

    def _authority(self, arguments: Mapping[str, Any]) -> Authority | None:
        sources = self._variables.get("ansible_inventory_sources") or ()
        return authority.read(authority.Place(os.path.expanduser(arguments["authority"]) or authority.beside(sources)))

    def _decide(self, lab: Authority | None, arguments: Mapping[str, Any], seen: Mapping[str, Any]) -> Decision:
        pem, asked = seen["certificate"]["certificate"], ASKED_FOR if arguments["renew"] else ""
        alone = {"certificate": "anew" if asked else "sign"}
        if lab is None:
            return Decision(alone) if seen["problem"] or asked else _AS_IT_IS
        days = authority.renew_days(arguments["days"])
        problem = seen["problem"] or lab.problem(pem, renew_days=days) or asked
        if not problem:
            return _AS_IT_IS
        passphrase = str(self._variable(_PASSPHRASE))
        obstacle = lab.obstacle(passphrase=bool(passphrase))
        if obstacle:
            return _without_authority(lab, pem, alone, f"{problem}, and {obstacle}")
        return Decision({}, signer=lab.signer(passphrase), problem=problem)

    def _signed(self, wanted: Mapping[str, Any], decided: Decision, signer: Signer) -> dict[str, Any]:
        """The account says that it is set up only once its certificate is there."""
        if self._task.check_mode:
            seen = self._on_account(wanted)
            renewed = [*seen["renewed"], "certificate"]
            diff = [*seen["diff"], _diff(seen, "(new)", decided.problem)]
            return {**seen, "changed": True, "renewed": renewed, "diff": diff}
        asked = self._on_account({**wanted, "account": "", "certificate": "request"})
        pem = signer.sign(asked["request"], days=wanted["days"])
        done = self._on_account({**wanted, "renew": False, "certificate": "install", "certificate_pem": pem})
        shown = _diff(asked, done["certificate"]["fingerprint"], decided.problem)
        others = [each for each in (*asked["diff"], *done["diff"]) if "pem" not in each["after_header"]]
        renewed = sorted({*asked["renewed"], *done["renewed"]})
        return {**done, "changed": True, "renewed": renewed, "diff": [*others, shown]}

    def _variable(self, name: str) -> Any:
        """A variable that must not be an argument, since it is a secret; empty if it is not set."""
        value = self._templar.template(self._variables.get(name, ""))
        return "" if value is None else value

    def _on_account(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name=_MODULE, module_args=dict(parameters), task_vars=self._variables
        )
        if answer.get("failed"):
            raise AnsibleActionFail(str(answer.get("msg") or "the account gave no reason"))
        return answer


def _without_authority(lab: Authority, pem: str, alone: Mapping[str, Any], problem: str) -> Decision:
    vouched = lab.vouches(pem)
    parameters = {"certificate": "sign", "renew_days": _LAST_DAYS} if vouched else alone
    note = f"No {'new ' if vouched else ''}certificate of the lab's authority: {problem}"
    return Decision(parameters, note=note, wants_passphrase=not lab.obstacle(passphrase=True))


def _diff(seen: Mapping[str, Any], after: str, problem: str) -> dict[str, str]:
    found, why = seen["certificate"], f"# {problem}\n" if problem else ""
    return {
        "before_header": found["path"], "after_header": found["path"],
        "before": f"SHA-256 {found['fingerprint']}\n" if found["fingerprint"] else "",
        "after": f"{why}SHA-256 {after}\n",
    }  # fmt: skip

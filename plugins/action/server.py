# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.server: what sessions need beside JupyterLab; the password is hashed here and goes nowhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.utils.display import Display
from ansible_collections.hpc.jupyter.plugins.module_utils.arguments import SITE
from ansible_collections.hpc.jupyter.plugins.plugin_utils import packing, password
from ansible_collections.hpc.jupyter.plugins.plugin_utils.provider import Provider
from ansible_collections.hpc.jupyter.plugins.plugin_utils.variables import check_role


class ActionModule(Provider):
    """Check the role's variables, look at the account, and change what is not as it should be."""

    _arguments: ClassVar[dict[str, Any]] = {
        "root": {"type": "str", "required": True},
        "allow_root": {"type": "bool", "default": False},
        "account": {"type": "str", "required": True},
        "cluster": {"type": "str", "required": True},
        "scheduler": {"type": "str", "default": "none"},
        "detach": {"type": "str", "default": "setsid"},
        "site": SITE,
        "tls": {"type": "str", "default": "auto"},
        "idle_limit_seconds": {"type": "int", "default": 86400},
        "reverse_key": {"type": "str", "default": "absent"},
        "job": {"type": "str", "required": True},
        "renew": {"type": "bool", "default": False},
        "days": {"type": "int", "default": 365},
        "authority": {"type": "str", "default": ""},
    }

    _passed = (
        "root", "allow_root", "account", "cluster", "scheduler", "detach", "site", "tls", "idle_limit_seconds",
        "reverse_key", "job", "renew", "days",
    )  # fmt: skip

    def _check(self) -> None:
        check_role("jupyter_server", self._variables, self._templar.template)
        self._given = self._variable("jupyter_server_password")
        self._hashed = self._variable("jupyter_server_password_hash")
        password.check_given(self._given, self._hashed)

    def _wanted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        program = {"program_sha256": packing.sha256(), "link": "~/.local/bin/hpc-session"}
        return {**super()._wanted(arguments), **program, "sessions": True}

    def _found_out(self, seen: Mapping[str, Any]) -> dict[str, Any]:
        config = self._config(seen["config"].get("hash"))
        same = hashlib.sha256(config.encode()).hexdigest() == seen["config"]["sha256"]
        return {**super()._found_out(seen), **({} if same else {"config": config})}

    def _config(self, known: Mapping[str, Any] | None) -> str:
        """Jupyter's configuration; a hash that fits the password already is kept."""
        hashed = self._hashed
        if self._given:
            if password.has_outer_space(self._given):
                Display().warning("jupyter_server_password begins or ends with a space: type it at the login too")
            hashed = password.password_hash(self._given, known)
        if not hashed:
            return "{}\n"
        return json.dumps({"PasswordIdentityProvider": {"hashed_password": str(hashed)}}, indent=4) + "\n"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.certificate: the account makes the key, the controller signs where the lab has an authority."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.hpc.jupyter.plugins.plugin_utils.provider import Provider


class ActionModule(Provider):
    """Look at the account's certificate, and have another one made if it is not good."""

    _arguments: ClassVar[dict[str, Any]] = {
        "root": {"type": "str", "required": True},
        "renew": {"type": "bool", "default": False},
        "days": {"type": "int", "default": 365},
        "authority": {"type": "str", "default": ""},
    }
    _passed = ("root", "days")

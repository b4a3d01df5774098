# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter hpc.jupyter.password_problem."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import password


def password_problem(value: object, hashed: object = "") -> str:
    """What is wrong with a password and a ready-made hash, of which one may be given; empty if nothing."""
    try:
        if value != "" and hashed != "":
            raise BadInput("jupyter_server_password", "is given together with jupyter_server_password_hash",
                           hint="Give one of them")
        if value != "":
            password.check_password(value)
        if hashed != "":
            password.check_hash(hashed)
    except BadInput as error:
        return str(error)
    return ""


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """The filters by name."""
        return {"password_problem": password_problem}

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arguments that several modules take."""

from __future__ import annotations

from typing import Any

SITE: dict[str, Any] = {
    "type": "dict",
    "options": {name: {"type": "str"} for name in
                ("parallel_environment", "memory_resource", "memory_per", "gpu_resource")},
}
ACCOUNT_OPTIONS: dict[str, dict[str, Any]] = {
    "account": {"type": "str", "required": True},
    "cluster": {"type": "str", "required": True},
    "scheduler": {"type": "str", "required": True},
    "root": {"type": "str"},
    "detach": {"type": "str", "choices": ["setsid", "tmux", "screen"], "default": "setsid"},
    "site": SITE,
}
RESOURCE_OPTIONS: dict[str, dict[str, Any]] = {
    "time": {"type": "str"},
    "cpus": {"type": "str"},
    "memory": {"type": "str"},
    "gpus": {"type": "str"},
    "gres": {"type": "str"},
    "partition": {"type": "str"},
    "project": {"type": "str"},
    "qos": {"type": "str"},
    "constraint": {"type": "str"},
    "reservation": {"type": "str"},
    "nodes": {"type": "str"},
    "exclusive": {"type": "bool"},
    "mail_user": {"type": "str"},
    "mail_type": {"type": "str"},
    "dependency": {"type": "str"},
    "extra": {"type": "list", "elements": "str"},
}

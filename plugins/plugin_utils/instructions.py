# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences about sessions, for people who read a playbook's output."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.words import line
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import first_port, host_by_hand, route_of, way


def instructions(record: Mapping[str, Any], connected: Mapping[str, Any], port: int | None = None) -> list[str]:
    """What to do next about the session in ``record``; ``connected`` is what the action ``session`` returned beside it.

    Without ``port`` the account's session has its own, the same every time.
    """
    if not record:
        return ["There is no such session yet; launching would submit it"]
    if record["state"] != "ready":
        return _not_ready(record)
    chosen = port or first_port(record["account"], record["session"])
    return _ready(record, connected["cluster"], config=connected["ssh_config"], port=chosen)


def _not_ready(record: Mapping[str, Any]) -> list[str]:
    """What to do about a session that is not there yet."""
    account, name = record["account"], record["session"]
    return [
        line(record),
        f"Look again: ansible-playbook hpc.jupyter.launch --limit {account}{_session_option(name)}",
        f"Give it up: ansible-playbook hpc.jupyter.stop --limit {account}{_session_option(name)}",
    ]


def _ready(record: Mapping[str, Any], cluster: Mapping[str, Any], *, config: str, port: int) -> list[str]:
    account, name = record["account"], record["session"]
    route = route_of(record, local=cluster["local"], wanted=cluster.get("route", "auto"))
    host = host_by_hand(record, cluster.get("login_hosts") or [""])
    chosen = way(
        record, local=cluster["local"], config=config, port=port, cluster=cluster["name"], route=route, host=host
    )
    show_url = f"{cluster['root']}/hpc-session url --session {name} --port {chosen.port}"
    on_account = show_url if cluster["local"] else shlex.join(["ssh", "-F", config, cluster["name"], show_url])
    forward = [f"Forward it, and leave this running: {chosen.command}"] if chosen.forward else []
    return [
        line(record),
        *forward,
        f"Open {chosen.url}",
        *_certificate(record),
        f"Log in with your password, or take the whole URL from: {on_account}",
        f"Stop it: ansible-playbook hpc.jupyter.stop --limit {account}{_session_option(name)}",
    ]


def _certificate(record: Mapping[str, Any]) -> list[str]:
    """The browser cannot know the certificate; only this comparison tells whose it is."""
    digits = str(record.get("tls_sha256") or "").upper()
    if not digits:
        return []
    shown = ":".join(digits[index : index + 2] for index in range(0, len(digits), 2))
    return [f"Compare the certificate's SHA-256 in the browser before you go on: {shown}"]


def _session_option(name: str) -> str:
    return "" if name == "default" else f" -e jupyter_session_name={name}"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.ssh_aliases: what this machine keeps of an account, for ssh by hand and for the next login."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible_collections.hpc.jupyter.plugins.plugin_utils import keys, own_ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.account_action import AccountAction
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.own_ssh import Place
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import Process
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import close_master
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, openssh_version, state_directory


class ActionModule(AccountAction):
    """Name the account's cluster in the person's ssh configuration, or forget the account."""

    _arguments: ClassVar[dict[str, Any]] = {
        "key": {"type": "str", "default": "", "no_log": False},
        "also": {"type": "str", "default": "", "no_log": False},
        "names": {"type": "bool", "default": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }

    def _act(self, cluster: Cluster, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing of it happens on the account."""
        if arguments["state"] == "absent":
            return self._forget(cluster)
        if cluster.local:
            return {"names": False, "notes": []}
        return self._name(cluster, key=arguments["key"], also=arguments["also"], wanted=arguments["names"])

    def _name(self, cluster: Cluster, *, key: str, also: str, wanted: bool) -> dict[str, Any]:
        files, place = Files(state_directory(cluster.account)), Place.at_home()
        identity = keys.identities(keys.Key(key), ssh_directory=place.ssh, also=also).encode()
        fresh, notes = not os.path.isdir(place.ssh), list[str]()
        changes = self._change(files.identity, identity)
        with self._held(place, wanted=wanted):
            found = own_ssh.blocks(own_ssh.read(place.aliases) or b"")
            block = found.pop(cluster.account, None)
            if wanted:
                notes += _why_no_names(cluster, place, found, known=block is not None)
            if wanted and not notes:
                text = own_ssh.alias_block(cluster, directory=files.directory, openssh=openssh_version())
                found[cluster.account] = text.encode()
            changes += self._aliases(place, found, notes, fresh=fresh)
        return {"changed": bool(changes), "names": cluster.account in found, "notes": notes, "diff": changes}

    def _forget(self, cluster: Cluster) -> dict[str, Any]:
        directory, place, notes = state_directory(cluster.account), Place.at_home(), list[str]()
        made = own_ssh.made_directory(own_ssh.read(place.config) or b"")
        with self._held(place, wanted=False):
            found = own_ssh.blocks(own_ssh.read(place.aliases) or b"")
            found.pop(cluster.account, None)
            changes = self._aliases(place, found, notes, fresh=False)
        if made and not found and not self._task.check_mode:
            _remove_empty(place.ssh)
        return {"names": False, "notes": notes, **self._left(changes + self._state(cluster, directory))}

    @staticmethod
    def _left(changes: list[dict[str, str]]) -> dict[str, Any]:
        return {"changed": bool(changes), "diff": changes}

    def _state(self, cluster: Cluster, directory: str) -> list[dict[str, str]]:
        """What this machine keeps of the account; the login master ends with it."""
        if not os.path.isdir(directory):
            return []
        if not self._task.check_mode:
            _end_holders(directory)
            close_master(Files(directory))
            shutil.rmtree(directory)
            _remove_last(os.path.dirname(directory))
        return [{"before": f"{directory}: what this machine keeps of {cluster.account}\n", "after": ""}]

    def _held(self, place: Place, *, wanted: bool) -> contextlib.AbstractContextManager[None]:
        needed = wanted or os.path.isdir(place.directory)
        return own_ssh.locked(place) if needed and not self._task.check_mode else contextlib.nullcontext()

    def _aliases(
        self, place: Place, found: dict[str, bytes], notes: list[str], *, fresh: bool
    ) -> list[dict[str, str]]:
        """Our file and the line that includes it, both gone when no account is left."""
        text = own_ssh.joined(found) or None
        if text is None and own_ssh.read(place.aliases) is None:
            return []
        return [*self._change(place.aliases, text), *self._include(place, notes, wanted=text is not None, fresh=fresh)]

    def _include(self, place: Place, notes: list[str], *, wanted: bool, fresh: bool) -> list[dict[str, str]]:
        problem = own_ssh.why_not(place.config)
        if problem and wanted is own_ssh.includes(place):
            return []
        if problem:
            line = f"Put this line at its top: {place.include}" if wanted else f"Remove this line: {place.include}"
            notes.append(f"{place.config} {problem}, so it is left alone. {line}")
            return []
        before = own_ssh.read(place.config)
        if wanted:
            return self._change(place.config, own_ssh.with_include(before, place.include, fresh=fresh))
        return self._change(place.config, own_ssh.without_include(before)) if before is not None else []

    def _change(self, path: str, content: bytes | None) -> list[dict[str, str]]:
        before = own_ssh.read(path)
        if before == content:
            return []
        if not self._task.check_mode:
            own_ssh.replace(path, content)
        texts = [(text or b"").decode("utf-8", "replace") for text in (before, content)]
        return [{"before_header": path, "after_header": path, "before": texts[0], "after": texts[1]}]


def _why_no_names(cluster: Cluster, place: Place, others: dict[str, bytes], *, known: bool) -> list[str]:
    other = own_ssh.holder(others, cluster.account)
    if other:
        return [f"ssh {cluster.name} leads to {other} on this machine, and to no other account"]
    if not known and own_ssh.defined_by_person(place, cluster.name):
        return [f"{place.config} has a host {cluster.name} of its own, which is left as it is"]
    return []


def _end_holders(directory: str) -> None:
    """Whoever holds a forward would log in again, and write that down here."""
    for path in glob.glob(os.path.join(glob.escape(directory), "*.session.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="utf-8") as stream:
            held = json.load(stream)
            for who in ("holder", "ssh"):
                Process(**held[who]).end()


def _remove_last(base: str) -> None:
    """What the command keeps for all accounts goes with the last of them."""
    with contextlib.suppress(FileNotFoundError):  # the others of the last may be as far
        if os.listdir(base) == [".ansible"]:
            shutil.rmtree(os.path.join(base, ".ansible"))
    _remove_empty(base)
    if not os.environ.get("XDG_STATE_HOME"):
        _remove_empty(os.path.expanduser("~/.local/state"))
        _remove_empty(os.path.expanduser("~/.local"))


def _remove_empty(directory: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(directory)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.authorized_key: the person's key on the account and on the gateways before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ansible_collections.hpc.jupyter.plugins.module_utils import reverse_key
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authorized_keys as shell
from ansible_collections.hpc.jupyter.plugins.plugin_utils import sharing
from ansible_collections.hpc.jupyter.plugins.plugin_utils.account_action import AccountAction
from ansible_collections.hpc.jupyter.plugins.plugin_utils.answer import answering
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.keys import public_part
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import run_remote
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, state_directory

_VERBS = {"present": "add", "absent": "remove"}


class ActionModule(AccountAction):
    """Add the key or remove it, then see which hops let its owner in without a password."""

    _arguments: ClassVar[dict[str, Any]] = {
        "public_key": {"type": "str", "required": True, "no_log": False},
        "state": {"type": "str", "choices": sorted(_VERBS), "default": "present"},
        "gateways": {"type": "bool", "default": True},
        "key": {"type": "str", "default": "", "no_log": False},
        "further": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "leaving": {"type": "list", "elements": "str", "default": []},
        "way_back": {"type": "bool", "default": False},
    }

    def _act(self, cluster: Cluster, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """All of it goes over the login master, and over connections to the gateways."""
        if cluster.local:
            return {"asking": [], "notes": []}
        files = Files(state_directory(cluster.account))
        public, verb = arguments["public_key"], _VERBS[arguments["state"]]
        self._also = reverse_key.comment(cluster.name) if verb == "remove" and arguments["way_back"] else ""
        way, further = hops(cluster), [public_part(key) for key in arguments["further"]]
        of_account, gateways = [public, *further], list(range(len(cluster.gateways)))
        staying: dict[int, list[str]] = {}
        if verb == "remove":  # in the other order: the way to a gateway leads through those before it
            staying = _staying(cluster, public, leaving=arguments["leaving"])
            of_account = [""] if len(gateways) in staying else of_account[::-1]
            later = _staying(cluster, public, leaving=_up_to(cluster.account, arguments["leaving"]))
            gateways = [index for index in reversed(gateways) if index not in later]
        if not arguments["gateways"] or not public:
            gateways = []
        on_account = [self._on_account(cluster, files, verb, key) for key in of_account]
        changed = [str(way[-1])] if any(on_account) else []
        asking: list[str] = []
        with self._asked(cluster, files) as asked:
            done = {
                index: self._on_gateway(cluster, files, verb, public, index=index, asked=asked, key=arguments["key"])
                for index in gateways
            }
            changed += [str(way[index]) for index, has_changed in done.items() if has_changed]
            if verb == "add" and not self._task.check_mode:
                asking = _asking(cluster, asked)
                _prove(cluster, files, key=arguments["key"], public=public)
        notes = [f"The key stays on {way[index]}: {', '.join(names)} may log in with it"
                 for index, names in staying.items()]
        if verb == "remove":
            unseen = [way[index] for index, has_changed in done.items() if has_changed is None]
            notes += [f"The key may stay on {hop}: it could not be looked for there" for hop in unseen]
        diff = _diff(changed, [public, *further], verb=verb)
        return {"changed": bool(changed), "asking": asking, "notes": notes, "diff": diff}

    def _on_account(self, cluster: Cluster, files: Files, verb: str, public: str) -> bool:
        if verb == "add" and not public:  # the key would be made first, which a check does not
            return True
        answer = run_remote(cluster, files, self._argv(verb, public))
        where = f"{cluster.name}: login host {cluster.login_hosts[0]}"
        return self._would(verb, shell.parse(answer.stdout, where=where))

    def _on_gateway(
        self, cluster: Cluster, files: Files, verb: str, public: str, *, index: int, asked: shell.Asked, key: str
    ) -> bool | None:
        """Only where the key is needed: a gateway may share the account's home.

        ``None`` where it cannot be told, since a gateway may let nobody run a command.
        """
        batch = shell.Asked(files.batch_config, {})
        if verb == "add" and not (key and self._task.check_mode) and _lets_in(cluster, index, batch, key, public):
            return False
        said = shell.on_gateway(cluster, self._argv(verb, public), index=index, asked=asked)
        try:
            return self._would(verb, shell.parse(said, where=cluster.gateways[index].host))
        except shell.KeyProblem:
            return None

    def _argv(self, verb: str, public: str) -> list[str]:
        return shell.arguments("look" if self._task.check_mode else verb, public, also=self._also)

    def _would(self, verb: str, answer: shell.Answer) -> bool:
        if not self._task.check_mode:
            return answer.changed
        return answer.ours if verb == "remove" else answer.changed or not answer.there

    @contextlib.contextmanager
    def _asked(self, cluster: Cluster, files: Files) -> Iterator[shell.Asked]:
        password = self._connection.get_option("password") if self._connection.transport == "ssh" else ""
        if not password:
            yield shell.Asked(files.batch_config, {})
            return
        with answering(cluster, files, password=str(password)) as askpass:
            yield shell.Asked(files.once_config, {"SSH_ASKPASS": askpass, "SSH_ASKPASS_REQUIRE": "force"})


def _staying(cluster: Cluster, public: str, *, leaving: list[str]) -> dict[int, list[str]]:
    """The hops, by their places on the way, where others need the key, and who they are."""
    if not public:
        return {}
    found = [sharing.others(hop, account=cluster.account, public=public, leaving=leaving) for hop in hops(cluster)]
    return {index: names for index, names in enumerate(found) if names}


def _up_to(account: str, leaving: list[str]) -> list[str]:
    """Those that leave before an account, and itself: what the others pass too, the last one of all takes back."""
    return leaving[: leaving.index(account) + 1] if account in leaving else leaving


def _lets_in(cluster: Cluster, index: int, batch: shell.Asked, key: str, public: str) -> bool:
    if key:
        return shell.takes(cluster, index=index, asked=batch, key=key, public=public)
    return shell.lets_in(cluster, index=index, asked=batch)


def _prove(cluster: Cluster, files: Files, *, key: str, public: str) -> None:
    """That ``key`` opens every hop by itself; raises ``KeyProblem``."""
    batch = shell.Asked(files.batch_config, {})
    for index, hop in enumerate(hops(cluster) if key else ()):
        if not shell.takes(cluster, index=index, asked=batch, key=key, public=public):
            raise shell.KeyProblem(
                f"{cluster.name}: {hop} does not take the new key {key}. Nothing was taken back: the old key opens "
                "every hop as before. Ask how it gets there; one with a passphrase must be in the agent (ssh-add)"
            )


def _asking(cluster: Cluster, asked: shell.Asked) -> list[str]:
    """The hops that do not let the key in; each is tried by itself, those before it in whatever way works."""
    way = hops(cluster)
    return [
        str(hop)
        for index, hop in enumerate(way)
        if not shell.lets_in(cluster, index=index, asked=asked, key_only=True)
    ]


def _diff(changed: list[str], keys: list[str], *, verb: str) -> dict[str, str]:
    shown = [f"{key or 'the new key'} {shell.MARK}\n" for key in dict.fromkeys(keys)]
    lines = "".join(f"~/.ssh/authorized_keys on {where}: {line}" for where in changed for line in shown)
    return {"before": "", "after": lines} if verb == "add" else {"before": lines, "after": ""}

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action hpc.jupyter.connect: the first task of every play; all of it happens on the controller."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NoReturn

from ansible import constants
from ansible_collections.hpc.jupyter.plugins.filter.ssh_args import ssh_args
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import gate
from ansible_collections.hpc.jupyter.plugins.plugin_utils.account_action import AccountAction
from ansible_collections.hpc.jupyter.plugins.plugin_utils.answer import answering
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import closed_early
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import refuse_odd_numbers
from ansible_collections.hpc.jupyter.plugins.plugin_utils.patience import attempts
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import (
    ConnectFailed,
    open_master,
    stale_master,
)
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, write
from ansible_collections.hpc.jupyter.plugins.plugin_utils.variables import refusal

_SSH_ARGUMENTS = ("ssh_args", "ssh_common_args", "ssh_extra_args")
_ASIDE = re.compile(r"(?:^|\s)-[46AaCfGgKkMNnqsTtVvXxYy]*[FJ]|(?i:proxycommand|proxyjump|hostname|hostkeyalias)")
"""Options that lead to another host, or over another configuration."""

_ANY_PYTHON = "/usr/bin/python3"

_UNCHECKED = re.compile(r"(?i)stricthostkeychecking[= ]*(?:no|off|accept-new)|userknownhostsfile[= ]*/dev/null")


class ActionModule(AccountAction):
    """Check the cluster's facts, write the ssh configuration, open the login master."""

    _supports_diff = False
    _arguments: ClassVar[dict[str, Any]] = {
        "timeout_seconds": {"type": "int", "default": 60},
        "later": {"type": "bool", "default": False},
        "pack": {"type": "str", "default": ""},
    }

    def _act(self, cluster: Cluster, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Never changes an account, so there is no difference in check mode."""
        if not cluster.local:
            self._check_connection(cluster)
            self._check_arguments(cluster)
        is_later = arguments["later"] and gate.is_closed()
        with self._packing(arguments["pack"] if self._is_first else ""):
            if not is_later:
                gate.pass_through()
            if cluster.local or is_later:
                return {"cluster": cluster.to_dict(), "opened": False, "ssh_config": ""}
            return self._logged_in(cluster, seconds=arguments["timeout_seconds"])

    def _logged_in(self, cluster: Cluster, *, seconds: int) -> dict[str, Any]:
        files = write(cluster)
        opened = self._open_in_turn(cluster, files, seconds=seconds)
        return {
            "cluster": cluster.to_dict(), "opened": opened, "ssh_config": files.config,
            "ansible_facts": self._python(cluster, files),
        }  # fmt: skip

    def _cluster(self, task_vars: Mapping[str, Any]) -> Cluster:
        """The cluster, once everything that the roles will be given has been checked too."""
        ours = ("hpc_", "jupyter_")
        refuse_odd_numbers({name: value for name, value in task_vars.items() if name.startswith(ours)})
        accounts = task_vars.get("ansible_play_hosts_all", ())
        self._is_alone, self._is_first = len(accounts) < 2, list(accounts[:1]) == [task_vars["inventory_hostname"]]
        self._variables = dict(task_vars)
        refused = refusal(task_vars, self._templar.template)
        if refused is not None:
            raise refused
        return super()._cluster(task_vars)

    @contextlib.contextmanager
    def _packing(self, module: str) -> Iterator[None]:
        """Ansible keeps what it has packed: a process of its own does that meanwhile.

        The next task waits for it, once that is ready itself; Ansible begins it only when this process has ended. Where
        none is to follow, nothing may be packed after the end.
        """
        process = None
        with contextlib.suppress(OSError):  # as many processes as there may be: the next task packs by itself
            process = os.fork() if module else None
        if process == 0:
            self._pack(module)
        try:
            yield
        except BaseException:
            if process:
                os.waitpid(process, 0)
            raise

    def _pack(self, module: str) -> NoReturn:
        """For whichever Python; whoever needs it and does not find it packs it again, and tells why that fails."""
        gc.disable()  # this process ends before there is anything to collect; looking takes a third of its time
        try:
            with gate.kept() as is_kept, _not_made_anew(constants.DEFAULT_LOCAL_TMP):
                if is_kept:
                    self._configure_module(module, {}, {**self._variables, "ansible_python_interpreter": _ANY_PYTHON})
        finally:
            os._exit(0)

    def _check_connection(self, cluster: Cluster) -> None:
        """Nothing in the inventory may lead Ansible around the generated ssh configuration."""
        if self._connection.transport != "ssh":
            raise BadInput("ansible_connection", f"{self._connection.transport!r} is not one of local, ssh")
        host = self._connection.get_option("host")
        if host == cluster.account != cluster.name:
            raise BadInput(
                "ansible_host", "is not set, so that Ansible would go around the generated ssh configuration",
                hint="Give the play the variables of hpc.jupyter's playbooks/group_vars/all.yml",
            )
        if host != cluster.name:
            raise BadInput(
                "ansible_host", f"is {host}, which would go around the gateways and the pinned host keys",
                hint="Remove it, and write the login host's name into hpc_login_hosts",
            )
        if self._connection.get_option("host_key_checking") is False:
            raise BadInput("ansible_ssh_host_key_checking", "is false; host keys are always checked", hint="Remove it")

    def _check_arguments(self, cluster: Cluster) -> None:
        """ssh gets the account's own configuration, and no other way than the one that is written there."""
        given = {option: _words(self._connection.get_option(option)) for option in _SSH_ARGUMENTS}
        for option, text in given.items():
            if _UNCHECKED.search(text):
                raise BadInput(
                    f"ansible_{option}", "turns the check of host keys off",
                    hint="Remove that, and pin the site's fingerprints in hpc_host_keys",
                )
            if option != "ssh_args" and _ASIDE.search(text):
                raise BadInput(
                    f"ansible_{option}", "leads around the gateways and the pinned host keys",
                    hint="Remove that; the way belongs into hpc_gateways and hpc_login_hosts",
                )
        if given["ssh_args"] != _words(ssh_args(cluster.account)):
            raise BadInput(
                "ansible_ssh_args", "does not lead over the generated ssh configuration",
                hint="Remove it where it is set, and give the play the variables of hpc.jupyter's "
                "playbooks/group_vars/all.yml; options of your own belong into ~/.ssh/config",
            )

    def _open_in_turn(self, cluster: Cluster, files: Files, *, seconds: int) -> bool:
        """Whoever comes alone and is turned away is told so at once."""
        turns, heard = attempts(), [""]
        while True:
            is_last = next(turns)
            try:
                return self._open(cluster, files, seconds=seconds, heard=heard)
            except ConnectFailed:
                if is_last or self._is_alone or not closed_early(heard[-1]):
                    raise

    def _open(self, cluster: Cluster, files: Files, *, seconds: int, heard: list[str] | None = None) -> bool:
        """A password given to Ansible is told to every hop of the cluster that asks for one."""
        password = self._connection.get_option("password")
        stale = stale_master(cluster, files)
        if not password:
            return open_master(cluster, files, timeout_seconds=seconds, instead_of=stale, heard=heard)
        with answering(cluster, files, password=str(password)) as askpass:
            return open_master(
                cluster, files, askpass=askpass, once=True, timeout_seconds=seconds, instead_of=stale, heard=heard
            )


@contextlib.contextmanager
def _not_made_anew(path: str) -> Iterator[None]:
    """An Ansible that ends meanwhile removes the directory; what is written then would make another one, and stay."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield
    finally:
        if not os.fstat(descriptor).st_nlink:
            shutil.rmtree(path, ignore_errors=True)


def _words(arguments: object) -> str:
    """ssh's arguments as ssh gets them, without the quotes of a shell."""
    try:
        return " ".join(shlex.split(str(arguments or "")))
    except ValueError:
        return str(arguments)

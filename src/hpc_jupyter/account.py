"""Accounts: which there are and what the inventory says of them."""

from __future__ import annotations

import difflib
import gc
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import state_directory

ANYWAY = "jupyter_session_anyway"
"""The role's variable that launches a session also where the cluster has a JupyterHub."""
INVENTORY_VARIABLE = "HPC_JUPYTER_INVENTORY"
_READING_SECONDS = 600.0
"""An inventory may be a program that asks others."""


@dataclass(frozen=True)
class Account:
    """One person on one cluster; ``facts`` are the variables that count, ``refused`` why they cannot be used.

    ``origins`` are the places where they were written, by name.
    """

    name: str
    facts: Mapping[str, Any]
    origins: Mapping[str, str] = field(default_factory=dict)
    refused: BadInput | None = None

    @property
    def goes_anyway(self) -> bool:
        """Whether the inventory says that a new session is wanted although the cluster has a JupyterHub."""
        return is_true(self.facts.get(ANYWAY))

    @property
    def cluster(self) -> Cluster:
        """The checked facts; raises ``BadInput``."""
        if self.refused is not None:
            raise self.refused
        return Cluster.from_facts(self.facts, account=self.name, origins=self.origins)


@dataclass(frozen=True)
class Inventory:
    """The accounts of one or more inventory sources."""

    sources: tuple[str, ...]
    accounts: Mapping[str, Account]

    def account(self, name: str) -> Account:
        """The account called ``name``; raises ``BadInput`` with what there is instead."""
        if name in self.accounts:
            return self.accounts[name]
        raise BadInput("ACCOUNT", f"{name!r} is not in the inventory", hint=self._hint(name))

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(name, self.accounts, n=1)
        if near:
            return f"Did you mean {near[0]}?"
        shipped = collection_path() / "inventory"
        if self.sources == (str(shipped),):
            return (
                f"There is no inventory of yours yet: write {own_inventory(os.environ)}/hosts.yml; "
                f"examples to copy, one for each shape of cluster: {shipped}/group_vars"
            )
        if name == "local":
            return f"It is in the inventory that comes with hpc-jupyter: -i {shipped}"
        known = sorted(self.accounts)[:8]
        there = f"It has {', '.join(known)}" + (" and more" if len(self.accounts) > len(known) else "")
        return f"{there if known else 'It has no accounts'} ({', '.join(self.sources)})"


def default_sources(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The inventory to use when none is named: the environment's, the person's, or the one that comes with us."""
    named = environment.get(INVENTORY_VARIABLE, "")
    if named:
        return (named,)
    own = own_inventory(environment)
    return (str(own),) if own.exists() else (str(collection_path() / "inventory"),)


def own_inventory(environment: Mapping[str, str]) -> Path:
    """Where a person's inventory is looked for."""
    return Path(environment.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "hpc-jupyter" / "inventory"


def collection_path() -> Path:
    """Where the collection lies that this command was installed with."""
    import ansible_collections.hpc.jupyter as collection

    return Path(next(iter(collection.__path__)))


def collections_root() -> Path:
    """The directory that holds our ``ansible_collections``, for Ansible's search path."""
    return collection_path().parents[2]


def sources(named: Sequence[str]) -> tuple[str, ...]:
    """The inventory sources that count, by default those of the person; raises ``BadInput`` if one is missing."""
    return tuple(_source(text) for text in named) or default_sources(os.environ)


class Reading:
    """The inventory, read by a process of its own (``inventory.py``), which begins at once.

    Ansible takes more room than all the rest, and a forward is held for days. Raises ``BadInput`` if a source is
    missing.
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._sources = sources(named)
        # What is loaded here already is there as well; nothing else runs in this process when a command begins.
        forked = multiprocessing.get_context("fork")
        self._told, sender = forked.Pipe(duplex=False)
        self._process = forked.Process(target=_read, args=(self._sources, sender, self._told), daemon=True)
        self._process.start()
        sender.close()

    def result(self) -> Inventory:
        """What was read, once; raises ``BadInput`` if it cannot be read."""
        try:
            told = self._told.recv() if self._told.poll(_READING_SECONDS) else None
        except EOFError:
            told = None
        finally:
            self._told.close()
            self._process.terminate()
            self._process.join()
        if told is None:
            ended = f"what reads it has ended ({self._process.exitcode})"
            raise BadInput("inventory", f"{', '.join(self._sources)} cannot be read: {ended}")
        if "refused" in told:
            raise _refused(told["refused"])
        return Inventory(self._sources, {item["name"]: _account(item) for item in told["accounts"]})


def _read(chosen: Sequence[str], sender: Connection, ours: Connection) -> None:
    ours.close()  # whoever is killed would wait for itself to read what it sends
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    gc.disable()  # it ends before there is anything to collect; looking takes a tenth of its time
    from hpc_jupyter import inventory

    sender.send(inventory.read(chosen))


def _leave(number: int, _frame: object) -> None:
    """End as a program of its own would, but for what Ansible has made for itself, which goes."""
    raise SystemExit(128 + number)


def _account(told: Mapping[str, Any]) -> Account:
    refused = _refused(told["refused"]) if told["refused"] else None
    return Account(told["name"], told["facts"], origins=told["origins"], refused=refused)


def _refused(told: Mapping[str, str]) -> BadInput:
    """What was raised there, with its place in it."""
    error = BadInput(told["field"], "")
    error.args = (told["text"],)
    return error


def _source(text: str) -> str:
    if "," in text:
        return text
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.exists(path):
        raise BadInput("-i", f"{path} does not exist", hint="Name an inventory file or directory")
    return path


def play_environment() -> dict[str, str]:
    """Ansible's settings, the same for reading the inventory and in every play: our own collection comes first."""
    others = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "~/.ansible/collections:/usr/share/ansible/collections")
    root = str(collections_root())
    ours = os.path.join(os.path.dirname(state_directory("account")), ".ansible")
    return {
        "ANSIBLE_COLLECTIONS_PATH": others if others.startswith(root) else f"{root}:{others}",
        "ANSIBLE_HOME": os.environ.get("ANSIBLE_HOME") or ours,
        "ANSIBLE_LOCAL_TEMP": tempfile.gettempdir(),
        "ANSIBLE_DUPLICATE_YAML_DICT_KEY": "error",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_NOCOLOR": "1",
        **({} if _is_utf8() else {"LC_ALL": "C.UTF-8"}),
    }


def _is_utf8() -> bool:
    chosen = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "C")
    return "utf8" in chosen.lower().replace("-", "")


def is_true(value: object) -> bool:
    """A truth value as people write it, the way Ansible reads it."""
    return str(value).lower() in ("y", "yes", "on", "1", "true", "t", "1.0")

"""Accounts: which there are and what the inventory says of them.

Ansible's own inventory is read in this process, so that every source, group variable, template and vaulted value
means here what it means in a play.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import variables as roles
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import origins, place_of, refuse_odd_numbers
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import state_directory

ANYWAY = "jupyter_session_anyway"
"""The role's variable that launches a session also where the cluster has a JupyterHub."""
INVENTORY_VARIABLE = "HPC_JUPYTER_INVENTORY"
_FACTS = ("hpc_", "jupyter_session_")
_OTHER_FACTS = ("ansible_connection", "ansible_user")


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


def load(named: Sequence[str]) -> Inventory:
    """Read the inventory; raises ``BadInput`` if a source is missing or cannot be read."""
    chosen = sources(named)
    noise = io.StringIO()
    try:
        with contextlib.redirect_stderr(noise), contextlib.redirect_stdout(noise), _imports_as_they_were():
            accounts = _read(chosen)
            _remove_temporary()
    except BadInput:
        raise
    except Exception as error:  # ansible raises classes of its own, and those of every plugin
        cause = _cause(chosen) or error
        if isinstance(cause, BadInput):
            raise cause from error
        raise _unreadable(f"{', '.join(chosen)} cannot be read", cause) from error
    return Inventory(chosen, accounts)


def _remove_temporary() -> None:
    """What reads the inventory may hold a connection for days, and be killed: Ansible removes this at its exit only."""
    from ansible import constants

    shutil.rmtree(constants.DEFAULT_LOCAL_TMP, ignore_errors=True)


@contextlib.contextmanager
def _imports_as_they_were() -> Iterator[None]:
    """Ansible's loader for collections wants to import ours too, and refuses what it has not indexed."""
    finders, hooks = list(sys.meta_path), list(sys.path_hooks)
    try:
        yield
    finally:
        sys.meta_path[:], sys.path_hooks[:] = finders, hooks
        sys.path_importer_cache.clear()


def _source(text: str) -> str:
    if "," in text:
        return text
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.exists(path):
        raise BadInput("-i", f"{path} does not exist", hint="Name an inventory file or directory")
    return path


def _read(sources: Sequence[str]) -> dict[str, Account]:
    os.environ.update(play_environment())
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.vars.manager import VariableManager

    _introduce_collection()
    init_plugin_loader()
    loader = DataLoader()
    _give_vault_secrets(loader)
    inventory = InventoryManager(loader=loader, sources=list(sources))
    variables = VariableManager(loader=loader, inventory=inventory)
    return {host.name: _account(host, loader, variables) for host in inventory.get_hosts()}


def _introduce_collection() -> None:
    """Ansible's loader refuses a collection that Python imported before it, unless it has its metadata."""
    import ansible_collections.hpc.jupyter as collection

    if not hasattr(collection, "_collection_meta"):
        collection._collection_meta = {}  # type: ignore[attr-defined]  # noqa: SLF001


def play_environment() -> dict[str, str]:
    """Ansible's settings, the same in this process and in every play: our own collection comes first."""
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


def _give_vault_secrets(loader: Any) -> None:
    """The passwords that Ansible's own configuration names; nothing is asked for."""
    from ansible import constants

    identities = list(constants.DEFAULT_VAULT_IDENTITY_LIST)
    if not identities and not constants.DEFAULT_VAULT_PASSWORD_FILE:
        return
    from ansible.cli import CLI

    for name in (*identities, constants.DEFAULT_VAULT_PASSWORD_FILE):
        _check_password_file(str(name or "").rpartition("@")[2])
    loader.set_vault_secrets(CLI.setup_vault_secrets(loader, vault_ids=identities, auto_prompt=False))


def _check_password_file(path: str) -> None:
    """Programs that print the password may be read by anyone."""
    if os.path.isfile(path) and not os.access(path, os.X_OK) and os.stat(path).st_mode & 0o077:
        raise BadInput("vault password file", f"{path} is open to others", hint=f"Close it: chmod 600 {path}")


def _account(host: Any, loader: Any, variables: Any) -> Account:
    from ansible.template import Templar

    name = str(host.name)
    known = variables.get_vars(host=host, include_hostvars=False)
    templar = Templar(loader=loader, variables=known)
    wanted = {key: value for key, value in known.items() if key.startswith(_FACTS) or key in _OTHER_FACTS}
    try:
        refuse_odd_numbers(wanted)
        facts = {str(key): _plain(templar.template(value)) for key, value in wanted.items()}
    except BadInput as error:
        return Account(name, {}, refused=error)
    except Exception as error:  # a template may raise anything  # noqa: BLE001
        return Account(name, {}, refused=_unreadable(name, error))
    refused = roles.refusal(known, templar.template)
    return Account(name, facts, origins=origins(wanted), refused=refused)


def is_true(value: object) -> bool:
    """A truth value as people write it, the way Ansible reads it."""
    return str(value).lower() in ("y", "yes", "on", "1", "true", "t", "1.0")


def _plain(value: Any) -> Any:
    """Ansible's tagged values as plain ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    return next((kind(value) for kind in (int, float, str) if isinstance(value, kind)), value)


def _cause(sources: Sequence[str]) -> Exception | None:
    """What Ansible only warns of, before it says that a source could not be parsed: the error in a YAML file."""
    from ansible.parsing.dataloader import DataLoader
    from ansible_collections.hpc.jupyter.plugins.plugin_utils import accounts

    loader = DataLoader()
    for path in (path for source in sources for path in _yaml_files(Path(source))):
        try:
            content = loader.load_from_file(str(path))
            if isinstance(content, Mapping) and content.get("plugin") == accounts.PLUGIN:
                accounts.load(str(path), loader=loader)
        except Exception as error:  # noqa: BLE001
            return error
    return None


def accounts_file(sources: Sequence[str], cluster: str) -> str:
    """The accounts file that describes ``cluster``; empty if the inventory has it from elsewhere."""
    from ansible.parsing.dataloader import DataLoader
    from ansible_collections.hpc.jupyter.plugins.plugin_utils import accounts

    loader = DataLoader()
    for path in (path for source in sources for path in _yaml_files(Path(source))):
        content = loader.load_from_file(str(path))
        if isinstance(content, Mapping) and content.get("plugin") == accounts.PLUGIN and cluster in content["clusters"]:
            return str(path)
    return ""


def _yaml_files(source: Path) -> list[Path]:
    files = sorted(source.iterdir()) if source.is_dir() else [source]
    return [path for path in files if path.suffix in (".yml", ".yaml", ".json") and path.is_file()]


def _unreadable(what: str, error: BaseException) -> BadInput:
    return BadInput("inventory", f"{what}: {_first_line(error)}").at(place_of(error))


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

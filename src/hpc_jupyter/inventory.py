"""Ansible's own inventory, read: every source, group variable, template and vaulted value means what it does in a play.

For a process of its own, see ``account.Reading``: Ansible changes how Python imports.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import variables as roles
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import origins, place_of, refuse_odd_numbers

from hpc_jupyter.account import play_environment

_FACTS = ("hpc_", "jupyter_session_")
_OTHER_FACTS = ("ansible_connection", "ansible_user")


def read(chosen: Sequence[str]) -> dict[str, Any]:
    """The accounts of the sources as plain data, or why they cannot be read."""
    try:
        return {"accounts": _accounts(chosen)}
    except BadInput as error:
        return {"refused": _told(error)}
    finally:
        _remove_temporary()


def _remove_temporary() -> None:
    """What Ansible would remove at the exit of a process that it has started itself."""
    from ansible import constants

    shutil.rmtree(constants.DEFAULT_LOCAL_TMP, ignore_errors=True)


def _accounts(chosen: Sequence[str]) -> list[dict[str, Any]]:
    noise = io.StringIO()
    try:
        with contextlib.redirect_stderr(noise), contextlib.redirect_stdout(noise):
            return _read(chosen)
    except BadInput:
        raise
    except Exception as error:  # ansible raises classes of its own, and those of every plugin
        cause = _cause(chosen) or error
        if isinstance(cause, BadInput):
            raise cause from error
        raise _unreadable(f"{', '.join(chosen)} cannot be read", cause) from error


def _told(error: BadInput) -> dict[str, str]:
    return {"field": error.field, "text": str(error)}


def _loader() -> Any:
    """Ansible's reader of files; Ansible takes its settings when it is first imported, and makes its directories."""
    os.environ.update(play_environment())
    from ansible.parsing.dataloader import DataLoader

    return DataLoader()


def _read(sources: Sequence[str]) -> list[dict[str, Any]]:
    loader = _loader()
    from ansible.inventory.manager import InventoryManager
    from ansible.plugins.loader import init_plugin_loader
    from ansible.vars.manager import VariableManager

    _introduce_collection()
    init_plugin_loader()
    _give_vault_secrets(loader)
    inventory = InventoryManager(loader=loader, sources=list(sources))
    variables = VariableManager(loader=loader, inventory=inventory)
    return [_account(host, loader, variables) for host in inventory.get_hosts()]


def _introduce_collection() -> None:
    """Ansible's loader refuses a collection that Python imported before it, unless it has its metadata."""
    import ansible_collections.hpc.jupyter as collection

    if not hasattr(collection, "_collection_meta"):
        collection._collection_meta = {}  # type: ignore[attr-defined]  # noqa: SLF001


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


def _account(host: Any, loader: Any, variables: Any) -> dict[str, Any]:
    from ansible.template import Templar

    name = str(host.name)
    known = variables.get_vars(host=host, include_hostvars=False)
    templar = Templar(loader=loader, variables=known)
    wanted = {key: value for key, value in known.items() if key.startswith(_FACTS) or key in _OTHER_FACTS}
    try:
        refuse_odd_numbers(wanted)
        facts = {str(key): _plain(templar.template(value)) for key, value in wanted.items()}
    except BadInput as error:
        return {"name": name, "facts": {}, "origins": {}, "refused": _told(error)}
    except Exception as error:  # a template may raise anything  # noqa: BLE001
        return {"name": name, "facts": {}, "origins": {}, "refused": _told(_unreadable(name, error))}
    refused = roles.refusal(known, templar.template)
    return {"name": name, "facts": facts, "origins": origins(wanted), "refused": _told(refused) if refused else None}


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
    loader = _loader()
    from ansible_collections.hpc.jupyter.plugins.plugin_utils import accounts

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
    loader = _loader()
    from ansible_collections.hpc.jupyter.plugins.plugin_utils import accounts

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

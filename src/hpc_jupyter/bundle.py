"""A report for a ticket: what the doctor found and what the inventory says, without secrets, hashes and names."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import openssh_version

from hpc_jupyter.account import Account
from hpc_jupyter.results import Diagnosis

_GONE = "[removed]"
_SECRETS = (
    re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]*://)[^/\s@]+@"),
    re.compile(r"(?i)(?P<keep>\b(?:token|password|passwd|secret|passphrase|api_?key)\b['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,;]+"),
    re.compile(r"(?P<keep>\b(?:SHA256|MD5|sha1|sha256|argon2):)\S+"),
    re.compile(r"(?P<keep>)\$(?:argon2|[0-9a-z]+\$)\S+"),
    re.compile(r"(?P<keep>)\b[A-Za-z0-9_+=-]{32,}"),
    re.compile(r"(?P<keep>)-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL),
)
"""What looks like a secret or a hash goes, also where it is none."""


def check(path: str) -> str:
    """The file's absolute path; raises ``BadInput`` where it cannot be made, before anything is contacted."""
    place = Path(path).expanduser().absolute()
    if place.exists():
        raise BadInput("--bundle", f"{path} exists already", hint="Name another file, or remove it")
    if not place.parent.is_dir() or not os.access(place.parent, os.W_OK):
        raise BadInput("--bundle", f"{place.parent} is no directory that can be written to", hint="Name another file")
    return str(place)


def write(path: str, found: Diagnosis, accounts: Sequence[Account]) -> None:
    """Write the report, for its owner alone: whether to send it is theirs to say."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(redacted(report(found, accounts), people(accounts)))


def report(found: Diagnosis, accounts: Sequence[Account]) -> str:
    """The whole text, as it is on this machine."""
    facts = {account.name: _facts(account) for account in accounts}
    parts = [
        f"hpc-jupyter doctor, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
        "\n".join(f"{name}: {value}" for name, value in _versions().items()),
        "\n".join(text for item in found.accounts for text in item.lines()),
        json.dumps(facts, indent=2, ensure_ascii=False, default=str),
    ]
    return "\n\n".join(parts) + "\n"


def people(accounts: Iterable[Account]) -> list[str]:
    """The user names that the inventory or this machine tells; each stands for one person."""
    names = [getpass.getuser(), Path.home().name]
    for account in accounts:
        names.append(account.name.rpartition("@")[0])
        names += _users(account)
    common = ("", "root", "home", "local", "all")
    return sorted({name for name in names if name not in common}, key=lambda name: (-len(name), name))


def redacted(text: str, names: Sequence[str]) -> str:
    """``text`` without what looks like a secret, and with ``user1``, ``user2``… for ``names``."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: f"{match['keep']}{_GONE}", text)
    for number, name in enumerate(names, 1):
        text = re.sub(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", f"user{number}", text)
    return text


def _users(account: Account) -> list[str]:
    try:
        cluster = account.cluster
    except BadInput:
        return []
    return [cluster.user, *(gateway.user for gateway in cluster.gateways)]


def _facts(account: Account) -> Mapping[str, Any]:
    try:
        return account.cluster.to_dict()
    except BadInput as error:
        return {"refused": str(error)}


def _versions() -> Mapping[str, str]:
    ssh = ".".join(str(part) for part in openssh_version())
    return {
        "hpc.jupyter": VERSION, "ansible-core": metadata.version("ansible-core"), "OpenSSH": ssh,
        "Python": platform.python_version(), "system": f"{platform.system()} {platform.release()}",
    }  # fmt: skip

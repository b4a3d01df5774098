# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the inventory's variables were written, so that a message can name the file and the line."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

_DEFAULTS = "/defaults/main.yml"
_NUMBER = re.compile(r"-?[0-9][0-9A-Za-z_:]*")
_VAULT = b"$ANSIBLE_VAULT;"
_SECRET_ENDINGS = ("_password", "_password_hash", "_passphrase")


def is_secret(name: str) -> bool:
    """Whether the variable's value may be in no message; what is wrong with it is said without it."""
    return name.endswith(_SECRET_ENDINGS)


def origins(variables: Mapping[str, Any]) -> dict[str, str]:
    """``FILE:LINE`` by variable, as Ansible has tagged names and values."""
    try:
        # Ansible names no public way to this; without it a message names the variable alone.
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return {}
    tags = {name: (Origin.get_tag(name), Origin.get_tag(value)) for name, value in variables.items()}
    found = {name: _place(_of_both(*both)) for name, both in tags.items()}
    return {str(name): place for name, place in found.items() if place}


def _of_both(name: Any, value: Any) -> Any:
    """The name's place, which is the line to look at; the value's where they differ: Ansible keeps the name that it
    found first, as in a role's defaults, for values from elsewhere.
    """
    if value is not None and getattr(name, "path", None) != getattr(value, "path", None):
        return value
    return None if str(getattr(name, "path", "")).endswith(_DEFAULTS) else name


def place_of(error: BaseException | None) -> str:
    """``FILE:LINE`` of what Ansible's ``error``, or one that led to it, complains about; empty if none says."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return ""
    while error is not None:
        thing = getattr(error, "obj", None)
        found = _place(thing if isinstance(thing, Origin) else Origin.get_tag(thing))
        if found:
            return found
        error = error.__cause__ or error.__context__
    return ""


def where(*things: Any) -> str:
    """``FILE:LINE`` of the first of ``things``, read from a file, of which it is known; else empty."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return ""
    return next(filter(None, (_place(Origin.get_tag(thing)) for thing in things)), "")


def refuse_odd_numbers(variables: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for a number that YAML silently reads otherwise than a person: 0100, 2:00:00, 12_3."""
    try:
        from ansible._internal._datatag._tags import Origin
    except ImportError:
        return
    for name, value in variables.items():
        if is_secret(name):
            continue
        for number in _numbers(value):
            text = _written(Origin.get_tag(number))
            if text not in ("", str(number)):
                hint = "Write it without the leading 0" if text.startswith("0") else "Write it in quotes"
                raise BadInput(
                    str(name), f"{text} is not a decimal number; YAML reads it as {int(number)}", hint=hint
                ).at(_place(Origin.get_tag(number)))


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def _written(origin: Any) -> str:
    """The number as it stands at ``origin``; empty if that cannot be read."""
    found = _NUMBER.match(_source(origin)[0])
    return found[0] if found else ""


def _is_template(origin: Any) -> bool:
    """Whether a template stands at ``origin``: what Ansible made of it is not written there."""
    here, below = _source(origin)
    return "{{" in (below if here.startswith((">", "|")) else here)


def _source(origin: Any) -> tuple[str, str]:
    """What stands at ``origin``, to the line's end, and the next line; empty if that cannot be read."""
    path, line, column = (getattr(origin, name, None) for name in ("path", "line_num", "col_num"))
    if not (path and line and column):
        return "", ""
    try:
        with open(path, encoding="utf-8") as stream:
            first = stream.readline()
            if first.startswith(_VAULT.decode()):
                return "", ""
            here, below = [*itertools.islice((first, *stream), line - 1, line + 1), "", ""][:2]
    except (OSError, ValueError):
        return "", ""
    return here[column - 1:], below


def _place(origin: Any) -> str:
    path, number = getattr(origin, "path", None), getattr(origin, "line_num", None)
    return f"{path}:{number}" if path and number else str(path or "")


def check_secrecy(name: str, value: Any) -> None:
    """Raise ``BadInput`` if the rendered ``value`` of the secret ``name`` stands in clear where others can read it."""
    try:
        from ansible._internal._datatag._tags import Origin
        from ansible.parsing.vault import VaultedValue
    except ImportError:
        return
    origin = Origin.get_tag(value)
    path = getattr(origin, "path", None)
    if path and not VaultedValue.is_tagged_on(value) and _is_open(path) and not _is_template(origin):
        raise BadInput(
            name, f"is in clear in {path}, which others can read",
            hint=f"Encrypt it (ansible-vault encrypt_string --name {name}), or chmod 600 {path}",
        )


def _is_open(path: str) -> bool:
    """Whether a file has no vault's content and is not its owner's alone; what is not there has no readers."""
    try:
        with open(path, "rb") as stream:
            return bool(os.fstat(stream.fileno()).st_mode & 0o077) and stream.read(len(_VAULT)) != _VAULT
    except OSError:
        return False

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual environment that we made: the marker by which it is known as ours, and how it is emptied again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Iterable

from ansible_collections.hpc.jupyter.plugins.module_utils.files import remove_path, write_private

MARKER = "hpc-jupyter.json"
USERS = "hpc-jupyter-users"
"""A directory with a file for each account whose sessions use the environment."""
_PARTS = frozenset({
    MARKER, USERS, "bin", "etc", "include", "lib", "lib64", "man", "pyvenv.cfg", "share",
    ".gitignore", ".lock", "CACHEDIR.TAG",
})  # fmt: skip
"""What venv, uv and packages make at the top of an environment."""
SCHEMA = 1


@dataclass(frozen=True)
class Marker:
    """What an environment of ours was made of; not ``complete`` while it is being changed.

    ``directories`` are those that were made for it, its own first, then its parents.
    """

    lock_sha256: str
    packages: tuple[str, ...] = ()
    wanted_python: str = ""
    base_python: str = ""
    debugger: bool = False
    complete: bool = False
    directories: tuple[str, ...] = ()
    schema: int = SCHEMA


def read_marker(prefix: str) -> Marker | None:
    """The marker in ``prefix``; one that is torn is ours as well, and not complete."""
    try:
        with open(os.path.join(prefix, MARKER), "rb") as stream:
            data = json.loads(stream.read().decode("utf-8"))
        lists = {name: tuple(data.get(name, ())) for name in ("packages", "directories")}
        return Marker(**{**data, **lists})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return Marker("")


def write_marker(prefix: str, marker: Marker) -> None:
    """Replace the marker in ``prefix``, which is made if it is not there."""
    os.makedirs(prefix, mode=0o700, exist_ok=True)
    write_private(os.path.join(prefix, MARKER), json.dumps(asdict(marker), indent=2).encode() + b"\n")


def made_for(prefix: str) -> tuple[str, ...]:
    """The directories that were made for the environment at ``prefix``, or will be."""
    marker = read_marker(prefix)
    return _missing(prefix) if marker is None else marker.directories


def user_file(prefix: str, root: str) -> str:
    """What says that the account with the directory ``root`` uses the environment at ``prefix``."""
    return os.path.join(prefix, USERS, hashlib.sha256(root.encode()).hexdigest()[:16])


def use(prefix: str, root: str) -> None:
    """Note that the account with the directory ``root`` uses the environment at ``prefix``."""
    path = user_file(prefix, root)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_private(path, root.encode() + b"\n")


def users(prefix: str) -> list[str]:
    """The directories of the accounts that use the environment at ``prefix``."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in sorted(os.listdir(os.path.join(prefix, USERS))):
            with open(os.path.join(prefix, USERS, entry), encoding="utf-8") as stream:
                found.append(stream.read().strip())
    return found


def besides(prefix: str) -> tuple[str, ...]:
    """The paths of what somebody has put into ``prefix`` that is no part of an environment."""
    return tuple(os.path.join(prefix, name) for name in sorted(set(os.listdir(prefix)) - _PARTS))


def clear(prefix: str) -> None:
    """Remove the environment in ``prefix``, but for the notes of who uses it."""
    _remove(prefix, _PARTS - {USERS})


def remove(prefix: str) -> None:
    """Remove the environment at ``prefix`` with the directories that were made for it, if they are empty then."""
    directories = made_for(prefix)
    _remove(prefix, _PARTS)
    with contextlib.suppress(OSError):
        for path in directories:
            os.rmdir(path)


def _remove(prefix: str, names: Iterable[str]) -> None:
    """What says whose it is goes last, so that whatever is cut off is still known as ours."""
    last = (USERS, MARKER)
    there = set(names).intersection(os.listdir(prefix) if os.path.isdir(prefix) else ())
    for name in sorted(there, key=lambda entry: last.index(entry) if entry in last else -1):
        remove_path(os.path.join(prefix, name))


def _missing(path: str) -> tuple[str, ...]:
    """``path`` and those above it that are not there, from below."""
    if os.path.lexists(path):
        return ()
    return (path, *_missing(os.path.dirname(path)))

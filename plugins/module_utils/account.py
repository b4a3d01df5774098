# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's directory: may it be used, does it exist, whose is it."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION, Layout

if TYPE_CHECKING:
    from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change

SCHEMA = 1


def layout(root: str) -> Layout:
    """The layout below ``root``; refuses what would be relative to wherever the module happens to run."""
    if not root.startswith(("/", "~/")):
        problem = f"{root!r} is relative" if root else "is empty"
        raise BadInput("hpc_root", problem, hint="Start it with / or ~/, or leave it out")
    return Layout.at(root)


def check_usable(layout: Layout, *, allow_root: bool, probe: bool) -> None:
    """Refuse root, someone else's directory, and a home that takes no files; raises ``HpcJupyterError``.

    With ``probe`` a file is written, read back and removed, which finds a full disk or quota; without, nothing is
    touched.
    """
    if os.geteuid() == 0 and not allow_root:
        raise HpcJupyterError("this account is root: log in to the cluster as the person whose notebooks these will be")
    existing = _existing(layout.root)
    if not os.path.isdir(existing):
        raise HpcJupyterError(f"{existing} is in the way: it is not a directory")
    if existing == layout.root and os.stat(existing).st_uid != os.geteuid():
        raise HpcJupyterError(f"{existing} belongs to another user")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise HpcJupyterError(f"{existing} cannot be written to by this account")
    if probe:
        _probe(existing)


def directories(layout: Layout, *, sessions: bool) -> list[Change]:
    """What makes the account's directory; with ``sessions`` also those that they need."""
    from ansible_collections.hpc.jupyter.plugins.module_utils import changes

    paths = [layout.root, layout.server, layout.sessions] if sessions else [layout.root]
    return [change for path in paths for change in changes.directory(path)]


def facts_file(layout: Layout, facts: Mapping[str, str]) -> list[Change]:
    """What makes ``account.json`` say ``facts``; the last thing of a setup, which is complete then."""
    from ansible_collections.hpc.jupyter.plugins.module_utils import changes

    content = {"schema": SCHEMA, **facts, "root": layout.root, "version": VERSION}
    return changes.file(layout.account, json.dumps(content, indent=2) + "\n")


def fact(layout: Layout, name: str, *, default: str) -> str:
    """What ``account.json`` says of ``name``; ``default`` where it says nothing, or nothing that can be read."""
    try:
        found = json.loads(_text(layout.account))[name]
    except (OSError, ValueError, KeyError, TypeError):
        return default
    return found if isinstance(found, str) else default


def python_version() -> str:
    """The version of the Python that this runs on."""
    return ".".join(str(part) for part in sys.version_info[:3])


def _existing(path: str) -> str:
    """``path``, or the nearest directory above it that exists."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _probe(directory: str) -> None:
    content = os.urandom(4096)
    try:
        with tempfile.TemporaryFile(dir=directory) as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            stream.seek(0)
            kept = stream.read()
    except OSError as error:
        raise HpcJupyterError(_full(directory, error.strerror or str(error))) from error
    if kept != content:
        raise HpcJupyterError(_full(directory, "what was written did not come back"))


def _full(directory: str, problem: str) -> str:
    return f"a file of 4 KiB could not be written in {directory}: {problem}. Is the disk or the quota full?"


def _text(path: str) -> str:
    try:
        with open(path, "rb") as stream:
            return stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""

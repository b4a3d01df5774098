# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed from an account when it is given up: what is ours, and directories that are empty then."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, default_root

_OURS = (
    "account.json", "environment-python", "environment.sh", "hpc-session", "job.sh", "kernels", "requirements.txt",
    "reverse_key", "reverse_key.pub", "sent-wheels", "server", "sessions", "venv",
)
_LINK = "~/.local/bin/hpc-session"
_PARENTS = ("~/.local/bin", "~/.local/share/hpc-jupyter", "~/.local/share", "~/.local")


@dataclass(frozen=True)
class Removal:
    """Paths to remove, and those in our directory that somebody else has put there."""

    remove: tuple[str, ...]
    kept: tuple[str, ...] = ()


def plan(layout: Layout, *, cluster: str, account: str) -> Removal:
    """What to remove; nothing is touched. Raises ``HpcJupyterError`` if the directory is another account's.

    A directory where the project puts it by itself is ours as a whole; in one that was chosen, what has our names is.
    """
    link = os.path.expanduser(_LINK)
    links = [link] if os.path.islink(link) and os.readlink(link) == layout.command else []
    if not os.path.isdir(layout.root):
        return Removal(tuple(links))
    _check_owner(layout, account)
    if layout.root == Layout.at(default_root(cluster)).root:
        return Removal((*links, layout.root))
    names = sorted(os.listdir(layout.root))
    ours = [name for name in names if name in _OURS and os.path.exists(layout.account)]
    kept = [os.path.join(layout.root, name) for name in names if name not in ours]
    whole = [] if kept else [layout.root]
    return Removal((*links, *(os.path.join(layout.root, name) for name in ours), *whole), tuple(kept))


def apply(removal: Removal) -> None:
    """Carry it out."""
    for path in removal.remove:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
    if removal.remove:
        for path in _PARENTS:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.expanduser(path))


def _check_owner(layout: Layout, account: str) -> None:
    if os.stat(layout.root).st_uid != os.geteuid():
        raise HpcJupyterError(f"{layout.root} belongs to another user")
    try:
        with open(layout.account, "rb") as stream:
            named = json.loads(stream.read().decode("utf-8"))["account"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if named != account:
        raise HpcJupyterError(f"{layout.root} was set up for {named}, not for {account}: name that account")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed from an account when it is given up: what is ours, and directories that are empty then."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils import activation, made_environment
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import remove_path
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout, default_root

_OURS = (
    "account.json", "environment-python", "environment.sh", "hpc-session", "job.sh", "kernels", "requirements.txt",
    "reverse_key", "reverse_key.pub", "sent-wheels", "server", "sessions", "venv",
)
_LINK = "~/.local/bin/hpc-session"
_PARENTS = ("~/.local/bin", "~/.local/share/hpc-jupyter", "~/.local/share", "~/.local")


@dataclass(frozen=True)
class Removal:
    """Paths to remove, those in our directory that somebody else has put there, and an environment outside of it.

    ``environment`` is the one to remove; ``note`` says of one that stays why it does.
    """

    remove: tuple[str, ...]
    kept: tuple[str, ...] = ()
    environment: str = ""
    note: str = ""


def plan(layout: Layout, *, cluster: str, account: str) -> Removal:
    """What to remove; nothing is touched. Raises ``HpcJupyterError`` if the directory is another account's."""
    link = os.path.expanduser(_LINK)
    links = (link,) if os.path.islink(link) and os.readlink(link) == layout.command else ()
    if not os.path.isdir(layout.root):
        return Removal(links)
    _check_owner(layout, account)
    kind, prefix = _environment(layout, cluster)
    note = _why_it_stays(layout, kind, prefix) if prefix else ""
    goes = prefix if not note else ""
    remove, kept = _inside(layout, cluster, without=(goes, *made_environment.made_for(goes)) if goes else ())
    besides = made_environment.besides(goes) if goes else ()
    no_more = tuple(filter(os.path.exists, [made_environment.user_file(prefix, layout.root)])) if note else ()
    return Removal((*links, *no_more, *remove), (*kept, *besides), goes, note)


def apply(removal: Removal) -> None:
    """Carry it out, the environment first: what says where it is goes last."""
    if removal.environment:
        made_environment.remove(removal.environment)
    for path in removal.remove:
        if os.path.lexists(path):
            remove_path(path)
    if removal.remove:
        for path in _PARENTS:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.expanduser(path))


def _inside(layout: Layout, cluster: str, *, without: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What goes of our directory, and what stays, ``without`` what goes anyway.

    Where the project puts it by itself, it is ours as a whole; in one that was chosen, what has our names is.
    """
    if _is_ours_alone(layout, cluster):
        return (layout.root,), ()
    names = sorted(os.listdir(layout.root))
    ours = [name for name in names if name in _OURS and os.path.exists(layout.account)]
    others = [os.path.join(layout.root, name) for name in names if name not in ours]
    kept = tuple(path for path in others if path not in without)
    whole = () if kept else (layout.root,)
    return (*(os.path.join(layout.root, name) for name in ours), *whole), kept


def _is_ours_alone(layout: Layout, cluster: str) -> bool:
    return layout.root == Layout.at(default_root(cluster)).root


def _environment(layout: Layout, cluster: str) -> tuple[str, str]:
    """Kind and directory of the sessions' environment, if it is the account's own and does not go with the rest."""
    kind, prefix = _told(layout)
    if not os.path.isdir(prefix) or os.stat(prefix).st_uid != os.geteuid():
        return "", ""
    is_inside = os.path.commonpath([prefix, layout.root]) == layout.root
    first = os.path.relpath(prefix, layout.root).split(os.sep)[0]
    return ("", "") if is_inside and (_is_ours_alone(layout, cluster) or first in _OURS) else (kind, prefix)


def _why_it_stays(layout: Layout, kind: str, prefix: str) -> str:
    """Empty if it goes, since we made it and nobody else is known to need it."""
    if kind != activation.VENV or made_environment.read_marker(prefix) is None:
        return f"the environment {prefix} is not ours and stays"
    if os.stat(prefix).st_mode & 0o077:
        return f"the environment {prefix} stays: its mode lets others use it"
    users = made_environment.users(prefix)
    others = [root for root in users if root != layout.root]
    if others:
        return f"the environment {prefix} stays while {others[0]} uses it"
    unknown = f"the environment {prefix} stays: an earlier release made it, and it is not known who uses it"
    return "" if users else unknown


def _told(layout: Layout) -> tuple[str, str]:
    """The kind and the directory of the environment that ``environment.sh`` leads to, empty if it does not say so."""
    try:
        with open(layout.environment_script, encoding="utf-8") as stream:
            kind, python = activation.told(stream.read())
    except (OSError, ValueError):
        return "", ""
    return kind, os.path.dirname(os.path.dirname(python))


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

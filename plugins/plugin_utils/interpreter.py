# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's Python that Ansible runs modules with; it is found in the same round trip as the login host."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import pythons
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.pythons import Python, Search
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files

OLDEST = (3, 8)
"""What the modules of ansible-core 2.19 run on."""

_KEPT_SECONDS = 86400.0
"""A login may last for weeks, and a site may take a Python away."""

_BEGIN = (
    'case $1 in "~/"*) own=$HOME/${1#??} ;; *) own=$1 ;; esac\nnonce=$2 seconds=$3 within=\nshift 3\n'
    'timeout 1 true 2>/dev/null && within="timeout $seconds"\n'
)
_FIRST = _BEGIN + '[ -x "$own" ] && "$own" where --nonce "$nonce"\nexec $within "$@"\n'
_FOLLOWED = _BEGIN + (
    'session=$1 followed=$2\nshift 2\n$within "$@" </dev/null\nprintf "%s:%s\\n" "$nonce" $?\n'
    'exec "$own" attach --session "$session" --nonce "$nonce" --follow "$followed"\n'
)
_SEARCH_SECONDS = 15
"""Half of what there is for both: a file system that hangs must not cost the answer that came before."""
CUT_SHORT = 124
"""What `timeout` exits with."""
_SHOWN = 5


def first_look(cluster: Cluster, files: Files, *, nonce: str) -> list[str]:
    """What is run after a login: the account's own command says ``where``, and a Python is looked for on PATH."""
    return _look(cluster, files, _FIRST, nonce)


def followed_look(cluster: Cluster, files: Files, *, nonce: str, session: str, seconds: int) -> list[str]:
    """The same in another order: a Python, and then the account's own command, which also follows a session."""
    return _look(cluster, files, _FOLLOWED, nonce, session, str(seconds))


def _look(cluster: Cluster, files: Files, script: str, nonce: str, *more: str) -> list[str]:
    known = [kept.path for kept in [_kept(cluster, files)] if kept]
    search = pythons.command(oldest=OLDEST, wanted=cluster.python, known=known, deep=False)
    own = f"{cluster.root}/hpc-session"
    return ["/bin/sh", "-c", script, "sh", own, nonce, str(_SEARCH_SECONDS), *more, *search]


def is_whole(output: str, *, nonce: str) -> bool:
    """Whether the search of a ``followed_look`` came to its end."""
    return f"{nonce}:" in output and f"{nonce}:{CUT_SHORT}" not in output


def remember(cluster: Cluster, files: Files, output: str) -> None:
    """Keep what the first look has found, or forget what it has not."""
    good = pythons.found(output).good
    if good:
        content = {"wanted": cluster.python, "path": good.path, "version": good.version}
        write_private(files.python, json.dumps(content).encode())
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(files.python)


def interpreter(cluster: Cluster, files: Files, ask: Callable[[Sequence[str]], str]) -> str:
    """The Python for Ansible's modules; raises ``HpcJupyterError`` if there is none.

    ``ask`` runs a command of the account and returns what it prints; where the first look was enough, it is not used.
    """
    kept = _kept(cluster, files)
    if kept is None or time.time() - os.stat(files.python).st_mtime > _KEPT_SECONDS:
        output = ask(pythons.command(oldest=OLDEST, wanted=cluster.python, deep=True))
        remember(cluster, files, output)
        kept = pythons.found(output).good
        if kept is None:
            raise _none(cluster, pythons.found(output))
    return kept.path


def _kept(cluster: Cluster, files: Files) -> Python | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(files.python, encoding="utf-8") as stream:
        content = json.load(stream)
        version = tuple(int(part) for part in content["version"].split("."))
        if content["wanted"] == cluster.python and version[:2] >= OLDEST:
            return Python(str(content["path"]), str(content["version"]))
    return None


def _none(cluster: Cluster, search: Search) -> HpcJupyterError:
    needed = f"Ansible needs Python {pythons.dotted(OLDEST)} or newer"
    if cluster.python:
        problem = f"is Python {search.old[0].version} on {cluster.login_hosts[0]}" if search.old else (
            f"is no Python that runs on {cluster.login_hosts[0]}"
        )
        hint = f"{needed}; without hpc_python one is looked for"
        return BadInput("hpc_python", f"{cluster.python} {problem}", hint=hint)
    old = ", ".join(str(python) for python in search.old[:_SHOWN])
    return HpcJupyterError(
        f"{cluster.name}: login host {cluster.login_hosts[0]}: {needed} on the account, and there is only "
        f"{old or 'none'} (looked for in {pythons.LOOKED_AT}). Ask the site which module brings a newer one, load it, "
        "and write the path that `command -v python3` prints into the cluster's facts: hpc_python: /path/to/python3. "
        "If there is none, conda (miniforge) below the home directory brings one, and is found by itself"
    )

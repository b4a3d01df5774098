# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of route ``reverse``: with it a node can make the way back on the login host, and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from functools import partial
from typing import Callable

from ansible_collections.hpc.jupyter.plugins.module_utils import authorized_keys
from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.run import run

_KINDS = (("ed25519",), ("ecdsa", "-b", "256"))
"""The second one for hosts whose rules know the first one not."""
_PUBLIC = re.compile(r"(?P<key>(?:ssh-ed25519|ecdsa-sha2-nistp256) AAAA[A-Za-z0-9+/]+={0,2})(?: .*)?\n?")
_ALLOWED = 'restrict,port-forwarding,permitopen="127.0.0.1:1",command="exit 1"'
"""Nothing but forwarding, and of that nothing towards the login host: one port is permitted, where nobody listens."""


def line(public: str, *, cluster: str) -> str:
    """The line of ``authorized_keys`` for ``public``, which is ``TYPE BASE64``."""
    return f"{_ALLOWED} {public} {comment(cluster)}"


def comment(cluster: str) -> str:
    """What stands behind the key of ``cluster``, and tells its lines from all others."""
    return f"hpc-jupyter-reverse-{cluster}"


def public_key(path: str) -> str:
    """The public key beside the private one at ``path``; empty unless both are there, whole and private."""
    try:
        private = os.stat(path)
        with open(f"{path}.pub", encoding="ascii") as stream:
            found = _PUBLIC.fullmatch(stream.read())
    except (OSError, UnicodeDecodeError):
        return ""
    sound = stat.S_ISREG(private.st_mode) and private.st_size > 0 and not private.st_mode & 0o077
    return found.group("key") if found and sound else ""


def _put(new: str, path: str) -> None:
    """Put the pair at ``new`` into the place of the one at ``path``; a public key beside it is always its own."""
    os.chmod(f"{new}.pub", 0o600)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}.pub")
    os.replace(new, path)
    os.replace(f"{new}.pub", f"{path}.pub")


def generate(path: str, *, comment: str) -> None:
    """Make a new pair at ``path``; the private key never leaves the account."""
    words = ""
    for kind in _KINDS:
        try:
            done = run(["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", comment, "-f", path], timeout_seconds=60)
        except FileNotFoundError as error:
            raise HpcJupyterError(
                f"the key of route reverse cannot be made: {error}. Where that route is not needed, set hpc_route to "
                "another one"
            ) from error
        if done.code == 0:
            return
        words = (done.err.strip().splitlines() or ["no message"])[-1]
    raise HpcJupyterError(f"the key of route reverse cannot be made: ssh-keygen: {words}")


def plan(layout: Layout, *, cluster: str, present: bool, renew: bool = False) -> list[Change]:
    """What makes the account have the key and its line in ``authorized_keys``, or neither; a new key with ``renew``."""
    path = layout.reverse_key
    before = public_key(path)
    text = authorized_keys.read(authorized_keys.target()) if before or present else ""
    if present and (renew or not before):
        former = _others(text, _without_ours(text, cluster))
        return [Change(authorized_keys.PATH, former, "# a new key\n", partial(_renew, path, cluster))]
    if present:
        edit = partial(authorized_keys.with_line, line=line(before, cluster=cluster))
    else:
        edit = partial(_without, public=before, cluster=cluster)
    new = edit(text)
    if new == text and (present or not os.path.lexists(path)):
        return []
    make = partial(_edit if present else partial(_remove, path), edit)
    return [Change(authorized_keys.PATH, _others(text, new), _others(new, text), make)]


def _renew(path: str, cluster: str) -> None:
    """The new key is let in before it is in its place, and the former one as long as that is there.

    So whoever is about to make the way back with what is at ``path`` gets in, also if this ends in between.
    """
    with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(path)) as scratch:
        new = os.path.join(scratch, "key")
        generate(new, comment=comment(cluster))
        wanted = line(public_key(new), cluster=cluster)
        _edit(partial(authorized_keys.with_line, line=wanted))
        _put(new, path)
    _edit(partial(_without_ours, cluster=cluster, but=wanted))


def _remove(path: str, edit: Callable[[str], str]) -> None:
    _edit(edit)
    for name in (path, f"{path}.pub"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _edit(edit: Callable[[str], str]) -> None:
    """Change ``authorized_keys``, while nobody else of ours does."""
    keys = authorized_keys.target()
    with authorized_keys.held():
        text = authorized_keys.read(keys)
        new = edit(text)
        if new != text:
            authorized_keys.write(keys, new)


def _without(text: str, *, public: str, cluster: str) -> str:
    return _without_ours(authorized_keys.without_key(text, public.partition(" ")[2]), cluster)


def _without_ours(text: str, cluster: str, *, but: str = "") -> str:
    """``text`` without the lines of this cluster's key, present or former, ``but`` one."""
    lines = text.splitlines(keepends=True)
    return "".join(each for each in lines if not _is_ours(each.rstrip("\n"), cluster, but))


def _is_ours(each: str, cluster: str, but: str) -> bool:
    return each != but and each.startswith(f"{_ALLOWED} ") and each.endswith(f" {comment(cluster)}")


def _others(text: str, other: str) -> str:
    """The lines of ``text`` that ``other`` has not."""
    return "".join(f"{each}\n" for each in text.splitlines() if each not in other.splitlines())

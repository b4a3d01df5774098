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
    return f"{_ALLOWED} {public} hpc-jupyter-reverse-{cluster}"


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


def make(path: str, *, cluster: str) -> None:
    """Make a new pair at ``path``; the private key never leaves the account."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(path)) as scratch:
        new = os.path.join(scratch, "key")
        _generate(new, comment=f"hpc-jupyter-reverse-{cluster}")
        os.chmod(f"{new}.pub", 0o600)
        os.replace(f"{new}.pub", f"{path}.pub")
        os.replace(new, path)


def _generate(path: str, *, comment: str) -> None:
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


def plan(layout: Layout, *, cluster: str, present: bool) -> list[Change]:
    """What makes the account have the key and its line in ``authorized_keys``, or neither."""
    path = layout.reverse_key
    before = public_key(path)
    text = authorized_keys.read(authorized_keys.target()) if before or present else ""
    if present and not before:
        return [Change(authorized_keys.PATH, "", "# a new key\n", partial(_renew, path, cluster))]
    wanted = line(before, cluster=cluster) if present else ""
    new = _text(text, before, wanted)
    if new == text and (present or not os.path.lexists(path)):
        return []
    make = partial(_replace, path, before, wanted)
    return [Change(authorized_keys.PATH, _others(text, new), _others(new, text), make)]


def _renew(path: str, cluster: str) -> None:
    make(path, cluster=cluster)
    _replace(path, "", line(public_key(path), cluster=cluster))


def _replace(path: str, before: str, wanted: str) -> None:
    """Have the line ``wanted`` in the file, and no other one for the key ``before``; without a line, no key either."""
    keys = authorized_keys.target()
    with authorized_keys.held():
        text = authorized_keys.read(keys)
        new = _text(text, before, wanted)
        if new != text:
            authorized_keys.write(keys, new)
    for name in () if wanted else (path, f"{path}.pub"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _text(text: str, before: str, wanted: str) -> str:
    kept = authorized_keys.without_key(text, before.partition(" ")[2]) if not wanted or before not in wanted else text
    return authorized_keys.with_line(kept, wanted) if wanted else kept


def _others(text: str, other: str) -> str:
    """The lines of ``text`` that ``other`` has not."""
    return "".join(f"{line}\n" for line in text.splitlines() if line not in other.splitlines())

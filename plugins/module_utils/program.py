# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's own command ``hpc-session`` and the link to it, on the account."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import zlib
from functools import partial

from ansible_collections.hpc.jupyter.plugins.module_utils import archive
from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private

_MODE = 0o755
"""Others cannot enter the directory."""


def plan(path: str, *, sha256: str, packed: str) -> list[Change]:
    """What makes ``path`` the program of the archive with this SHA-256; ``packed`` is that, or empty if only asked."""
    first = archive.shebang(archive.base_python())
    mode = _mode(path)
    found = archive.made_from(path) if _read(path, len(first)) == first else ""
    if (found, mode) == (sha256, _MODE):
        return []
    content = _read(path)
    before = f"{archive.version(path) or 'something else'} {hashlib.sha256(content).hexdigest()} {mode:04o}\n"
    after = f"{archive.COMMENT} {sha256} {_MODE:04o}\n"
    return [Change(path, before if content else "", after, partial(_install, path, first, sha256, packed))]


def link(path: str, to: str) -> list[Change]:
    """What makes ``path`` a link to the program, if nothing else is there."""
    there = os.path.realpath(path) == os.path.realpath(to)
    return [] if there or not _is_free(path) else [Change(path, "", "there\n", partial(_link, path, to))]


def _read(path: str, most: int = -1) -> bytes:
    """The first ``most`` bytes, or all; none where there is no file."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
        return stream.read(most)
    return b""


def _mode(path: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path).st_mode & 0o7777
    return 0


def _install(path: str, first: bytes, sha256: str, packed: str) -> None:
    """Replace the program in one step; a supervisor that runs keeps the file it was started from."""
    body = zlib.decompress(base64.b64decode(packed))
    write_private(path, first + archive.compiled(body, sha256=sha256), mode=_MODE)


def _is_free(path: str) -> bool:
    """Whether nothing is there, or a link of ours that leads to a program that was removed."""
    if not os.path.lexists(path):
        return True
    return os.path.islink(path) and os.path.basename(os.readlink(path)) == "hpc-session" and not os.path.exists(path)


def _link(path: str, to: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if os.path.islink(path):
        os.unlink(path)
    os.symlink(to, path)

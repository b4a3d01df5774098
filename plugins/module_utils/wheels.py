# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of wheels on the account, which several accounts may share and fill at once.

Who installs from it checks every hash again, so that nobody has to trust whoever filled it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
import tempfile
import time
from typing import IO, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

_PART = ".hpcj-"
_OLD_SECONDS = 86400
_CHUNK = 1 << 20


def missing(directory: str, wheels: Mapping[str, str]) -> list[str]:
    """Those of ``wheels`` (SHA-256 by file name) that ``directory`` lacks, or has with another content."""
    return [name for name, sha256 in sorted(wheels.items()) if _sha256(os.path.join(directory, name)) != sha256]


def choose(places: Sequence[str], wheels: Mapping[str, str]) -> tuple[str, list[str], str]:
    """The first of ``places`` that has all ``wheels`` or can take what is missing, what that is, and in words why it
    is not the first one; nothing is written. Raises ``HpcJupyterError``.
    """
    why = ""
    for place in places:
        lacking = missing(place, wheels)
        if not lacking or _takes_files(place, lacking):
            return place, lacking, why
        why = why or f"{place} lacks {len(lacking)} of {len(wheels)} wheels, and this account may not write there"
    raise HpcJupyterError(f"{why}. Give the account a place for them with hpc_wheelhouse")


def unpack(archive: str, directory: str, wheels: Mapping[str, str]) -> None:
    """Put what is in ``archive`` into ``directory``, each file whole or not at all; raises ``HpcJupyterError``."""
    _make(directory)
    _remove_parts(directory)
    mode = stat.S_IMODE(os.stat(directory).st_mode) & 0o666
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() and member.name in wheels else None
            if stream is not None:
                _put(stream, directory, member.name, sha256=wheels[member.name], mode=mode)


def _put(stream: IO[bytes], directory: str, name: str, *, sha256: str, mode: int) -> None:
    descriptor, path = tempfile.mkstemp(prefix=_PART, dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as part:
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                part.write(chunk)
            os.fchmod(part.fileno(), mode)
        if _sha256(path) != sha256:
            raise HpcJupyterError(f"{name} did not arrive whole in {directory}. Run the playbook again")
        os.replace(path, os.path.join(directory, name))
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise


def _make(directory: str) -> None:
    """What accounts share has the rights of the directory above it."""
    if not os.path.isdir(directory):
        with contextlib.suppress(FileExistsError):  # another account was faster
            os.mkdir(directory)
            os.chmod(directory, stat.S_IMODE(os.stat(os.path.dirname(directory)).st_mode) | 0o700)


def _takes_files(directory: str, names: Sequence[str]) -> bool:
    there = os.path.lexists(directory)
    if not os.access(directory if there else os.path.dirname(directory), os.W_OK | os.X_OK):
        return False
    return not there or all(_may_replace(directory, name) for name in names)


def _may_replace(directory: str, name: str) -> bool:
    """In a sticky directory a file is its owner's, and the directory's, alone to replace."""
    shared = os.stat(directory)
    if not shared.st_mode & stat.S_ISVTX or os.geteuid() in (0, shared.st_uid):
        return True
    try:
        return os.lstat(os.path.join(directory, name)).st_uid == os.geteuid()
    except FileNotFoundError:
        return True


def _remove_parts(directory: str) -> None:
    """What was cut off long ago, and is this account's."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        with contextlib.suppress(OSError):
            if name.startswith(_PART) and time.time() - os.stat(path).st_mtime > _OLD_SECONDS:
                os.unlink(path)


def _sha256(path: str) -> str:
    """The file's SHA-256, empty if it cannot be read; a pipe that somebody put there would be read for ever."""
    digest = hashlib.sha256()
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as stream:
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()

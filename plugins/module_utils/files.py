# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private files, written whole or not at all."""

from __future__ import annotations

import os
import tempfile


def make_private_directory(path: str) -> None:
    """Make ``path`` and its parents; ``path`` itself ends as 0700.

    Raises ``PermissionError`` if it exists and belongs to somebody else.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to another user")
    os.chmod(path, 0o700)


def write_private(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """Replace ``path`` by a file with ``content``, for the account alone: temporary file, fsync, rename, read back.

    A full disk or quota raises ``OSError`` and leaves the old file.
    """
    directory = os.path.dirname(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if os.stat(temporary).st_size != len(content):
            raise OSError(f"{path}: the disk did not take the whole file")
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_tail(path: str, *, lines: int, limit_bytes: int = 65536) -> list[str]:
    """The last ``lines`` lines of a text file; none if it does not exist."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - limit_bytes))
            text = stream.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []


def age_seconds(path: str) -> float | None:
    """How long ago ``path`` was written, by its own file system's clock; ``None`` if it is gone."""
    try:
        written = os.stat(path).st_mtime
    except FileNotFoundError:
        return None
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".clock-") as probe:
        return os.stat(probe.name).st_mtime - written

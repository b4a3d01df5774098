# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private files, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile

DEBRIS = re.compile(r"\.(?:new|clock|room)-\w+|.+\.[0-9a-f]{16}")
"""The names of what is half made: by a writer, or by whoever wants a lock."""
_ROOM_BYTES = 65536
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a disk or a quota without room says."""


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
        if _content(temporary) != content:
            raise OSError(errno.EIO, "the disk did not keep what was written", path)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def check_room(directory: str) -> None:
    """Raise ``OSError`` unless the disk and the quota take some files more, and give them back."""
    path = os.path.join(directory, ".room-probe")
    try:
        write_private(path, os.urandom(_ROOM_BYTES))
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def sweep(directory: str, *, older_than_seconds: float) -> None:
    """Remove what a writer or the holder of a lock left here that was killed in the middle."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if DEBRIS.fullmatch(name) and (age_seconds(path) or 0.0) > older_than_seconds:
            with contextlib.suppress(OSError):
                os.unlink(path)


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
    """How long ago ``path`` was written, by its own file system's clock; ``None`` if it is gone.

    A disk that is full tells no time: then it is 0, as if it had been written now.
    """
    try:
        written = os.stat(path).st_mtime
    except FileNotFoundError:
        return None
    try:
        with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix=".clock-") as probe:
            return os.stat(probe.name).st_mtime - written
    except OSError as error:
        if error.errno not in FULL:
            raise
        return 0.0


def remove_path(path: str) -> None:
    """Remove what is at ``path``, a directory with all that is in it; a link goes, not what it leads to."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)

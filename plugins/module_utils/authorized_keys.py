# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The person's own ``~/.ssh/authorized_keys``: one line in it is ours, every other byte stays as it is."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from typing import Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

PATH = "~/.ssh/authorized_keys"
LOCK = ".hpc-jupyter-keys.lock"
"""Below the home directory; a directory, as a shell that knows nothing else can make one alone."""
_LIMIT_BYTES = 4 * 1024 * 1024
_WAIT_SECONDS, _POLL_SECONDS = 10.0, 0.05


class Refused(HpcJupyterError):
    """The file is not the person's own to change."""


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keep others of ours from the file meanwhile; a lock that was left over is taken, and one that cannot be, not."""
    path, deadline = os.path.expanduser(f"~/{LOCK}"), time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            os.mkdir(path, 0o700)
            break
        except FileExistsError:
            time.sleep(_POLL_SECONDS)
        except OSError:
            break
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(path)


def with_line(text: str, line: str) -> str:
    """``text`` with ``line`` once, in the place of the first line with the same key; others with it go."""
    wanted, key = f"{line}\n", _key(line)
    kept: list[str] = []
    placed = False
    for present in _lines(text):
        if not _has(present, key):
            kept.append(present)
        elif not placed:
            kept.append(wanted)
            placed = True
    return "".join(kept if placed else [*kept, wanted])


def without_key(text: str, key: str) -> str:
    """``text`` without the lines that let ``key``, its base64 part, in."""
    return "".join(present for present in _lines(text) if not _has(present, key)) if key else text


def _lines(text: str) -> list[str]:
    """The lines; the last one is ended as well if something is to follow it."""
    lines = [f"{line}\n" for line in text.split("\n")]
    return lines[:-1] if text.endswith("\n") or not text else lines


def _key(line: str) -> str:
    return next(word for word in line.split() if word.startswith("AAAA"))


def _has(line: str, key: str) -> bool:
    return not line.lstrip().startswith("#") and key in line.split()


def target(path: str = PATH) -> str:
    """The file behind ``path``, links followed; raises ``Refused`` unless it, and its directory, are our own."""
    real = os.path.realpath(os.path.expanduser(path))
    for checked, kind in ((os.path.dirname(real), stat.S_ISDIR), (real, stat.S_ISREG)):
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(checked)
            if status.st_uid != os.geteuid():
                raise Refused(f"{checked} belongs to another user, so no key was added to it")
            if not kind(status.st_mode):
                raise Refused(f"{checked} is not a {'file' if checked == real else 'directory'}, so no key was added")
    return real


def read(path: str) -> str:
    """The file's text; empty if there is none. Bytes that are no UTF-8 survive ``write``."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(content) > _LIMIT_BYTES:
        raise Refused(f"{path} is larger than 4 MiB, so no key was added to it")
    return content.decode("utf-8", "surrogateescape")


def write(path: str, text: str) -> None:
    """Replace the file whole; its mode stays, but nobody else can write it."""
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    mode = stat.S_IMODE(os.stat(path).st_mode) & 0o755 if os.path.exists(path) else 0o600
    descriptor, temporary = tempfile.mkstemp(prefix=".authorized_keys-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

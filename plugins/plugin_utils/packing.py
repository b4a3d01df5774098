# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs the code of the program ``hpc-session``; the line before it, which names a Python, is the account's."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import zipfile
import zlib
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils import archive

_PACKAGE = archive.__name__.rpartition(".")[0]
_WHEN = (2026, 1, 1, 0, 0, 0)
_MAIN = f"""\
import sys

from {_PACKAGE}.entry import main

sys.exit(main())
"""


@functools.lru_cache(maxsize=1)
def body() -> bytes:
    """All of module_utils as an archive that Python can run; the same code gives the same bytes."""
    place = Path(archive.__file__).parent
    package = _PACKAGE.replace(".", "/")
    files = {f"{package}/{path.relative_to(place)}": path.read_bytes() for path in place.rglob("*.py")}
    # An archive's directories are no packages without.
    parents = {parent for name in files for parent in list(Path(name).parents)[:-1]}
    files = {**{f"{parent}/__init__.py": b"" for parent in parents}, **files}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as packed:
        packed.comment = archive.COMMENT.encode()
        for name, content in sorted({**files, "__main__.py": _MAIN.encode()}.items()):
            packed.writestr(_entry(name), content)
    return stream.getvalue()


def sha256() -> str:
    """What the account is asked for."""
    return hashlib.sha256(body()).hexdigest()


def packed() -> str:
    """What is sent to an account that has another one."""
    return base64.b64encode(zlib.compress(body())).decode("ascii")


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, date_time=_WHEN)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program ``hpc-session``: a line that names its Python, then an archive of the code that is in this directory."""

from __future__ import annotations

import importlib.util
import io
import marshal
import sys
import zipfile

from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

COMMENT = f"hpc.jupyter {VERSION}"
_LONGEST_SHEBANG = 127
"""The kernel cuts what is longer."""
_MAGIC = importlib.util.MAGIC_NUMBER.hex()
_FORMAT = 2 if sys.version_info < (3, 14) else marshal.version
"""Formats after 2 note which objects the process has in use elsewhere, too; 2 has no slices, which 3.14 needs."""


def version(path: str) -> str:
    """Which release's program is at ``path``; empty if there is none, or it is something else."""
    return " ".join(_comment(path).split()[:2])


def made_from(path: str) -> str:
    """The SHA-256 of the archive that the program at ``path`` was ``compiled`` from, by this very Python.

    Empty if it was another one, or if the program is damaged.
    """
    digest, _space, magic = _comment(path).partition(COMMENT)[2].strip().partition(" ")
    return digest if magic == _MAGIC and _is_whole(path) else ""


def compiled(body: bytes, *, sha256: str) -> bytes:
    """The same archive with the bytecode of this Python beside each source.

    Compiling takes longer than all that most commands do. Other Pythons see that it is not theirs and take the source.
    The same sources and the same Python give the same bytes.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as bare, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as full:
        full.comment = f"{COMMENT} {sha256} {_MAGIC}".encode()
        for entry in bare.infolist():
            text = bare.read(entry)
            full.writestr(entry, text)
            if text:
                code = zipfile.ZipInfo(f"{entry.filename}c", date_time=entry.date_time)
                full.writestr(code, _bytecode(text, entry.filename))
    return stream.getvalue()


def _comment(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment.decode("ascii", "replace")
    except (OSError, zipfile.BadZipFile):
        return ""
    return comment if comment.startswith("hpc.jupyter ") else ""


def _is_whole(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except Exception:  # noqa: BLE001 - whatever zipfile makes of a directory that says something else
        return False


def _bytecode(text: bytes, name: str) -> bytes:
    """As PEP 552 has it; unchecked, since the source is in the same file and cannot change alone."""
    code = marshal.dumps(compile(text, name, "exec", dont_inherit=True), _FORMAT)
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(text) + code


def shebang(python: str) -> bytes:
    """The first line; through a shell where the kernel would not understand the path."""
    line = f"#!{python}\n"
    if python.split() == [python] and len(line.encode()) <= _LONGEST_SHEBANG:
        return line.encode()
    quoted = python.replace("'", "'\\''")
    return f"#!/bin/sh\nexec '{quoted}' \"$0\" \"$@\"\n".encode()


def base_python() -> str:
    """This Python, or the one that its virtual environment was made with, which outlives it."""
    return getattr(sys, "_base_executable", None) or sys.executable


def source(name: str) -> bytes:
    """The source of one module, from a file or from the program."""
    spec = importlib.util.find_spec(name)
    loader = spec.loader if spec is not None else None
    text: object = loader.get_source(name) if loader is not None and hasattr(loader, "get_source") else None
    return str(text or "").encode("utf-8")

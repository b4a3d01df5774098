# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs ``hpc-session``: the shared code of this collection as one program that needs Python and nothing else.

The code is taken from wherever it is being run from, so also out of the archive in which Ansible sends a module.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import io
import os
import pkgutil
import sys
import zipfile
from types import ModuleType
from typing import Iterator

from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

PACKAGE = __name__.rpartition(".")[0]
_WHEN = (2026, 1, 1, 0, 0, 0)
_MAIN = """\
import sys

from {entry} import main

sys.exit(main())
"""
_LONGEST_SHEBANG = 127
"""The kernel cuts what is longer."""


def pack(entry: ModuleType, *, python: str) -> bytes:
    """The program that runs ``entry.main()`` with ``python``; the same code gives the same bytes."""
    files = {"__main__.py": _MAIN.format(entry=entry.__name__).encode()}
    for name in sorted(closure(entry.__name__)):
        files[_file_name(name)] = source(name)
    for path in list(files):
        files.update({init: b"" for init in _inits(path) if init not in files})
    stream = io.BytesIO()
    stream.write(shebang(python))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        archive.comment = f"hpc.jupyter {VERSION}".encode()
        for path in sorted(files):
            archive.writestr(_entry(path), files[path])
    return stream.getvalue()


def version(path: str) -> str:
    """Which release's program is at ``path``; empty if there is none, or it is something else."""
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment.decode("ascii", "replace")
    except (OSError, zipfile.BadZipFile):
        return ""
    return comment if comment.startswith("hpc.jupyter ") else ""


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


def closure(entry: str) -> set[str]:
    """``entry`` and every module of the collection that it imports, however far away."""
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imported(name)
    return found


def imported(name: str) -> Iterator[str]:
    """The collection's modules that one module imports, also late; of a package, all that is in it."""
    for node in ast.walk(ast.parse(source(name))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level and _is_ours(node.module):
            yield node.module
            below = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (module for module in below if _exists(module))
    if _is_package(name):
        yield from (f"{name}.{module.name}" for module in pkgutil.iter_modules(importlib.import_module(name).__path__))


def source(name: str) -> bytes:
    """The source of one module, from a file or an archive."""
    spec = importlib.util.find_spec(name)
    loader = spec.loader if spec is not None else None
    text: object = loader.get_source(name) if loader is not None and hasattr(loader, "get_source") else None
    if isinstance(text, bytes):  # from Ansible's own loader
        return text
    return str(text or "").encode("utf-8")


def _is_ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return name != PACKAGE and spec is not None and spec.submodule_search_locations is not None


def _file_name(name: str) -> str:
    path = name.replace(".", "/")
    return f"{path}/__init__.py" if _is_package(name) or name == PACKAGE else f"{path}.py"


def _inits(path: str) -> Iterator[str]:
    """The ``__init__.py`` of every directory above; an archive's directories are no packages without."""
    directory = os.path.dirname(path)
    while directory:
        yield f"{directory}/__init__.py"
        directory = os.path.dirname(directory)


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, date_time=_WHEN)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry

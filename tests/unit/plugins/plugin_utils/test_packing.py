# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import archive, changes, layout, program
from ansible_collections.hpc.jupyter.plugins.plugin_utils import packing

_WATCHED = """\
import sys
seen = []
sys.addaudithook(lambda name, more: seen.append(str(more[1:])) if name == "compile" else None)
"""
ENTRY = "ansible_collections.hpc.jupyter.plugins.module_utils"


def _plan(path: pathlib.Path) -> list[changes.Change]:
    return program.plan(str(path), sha256=packing.sha256(), packed=packing.packed())


def test_the_same_code_gives_the_same_bytes() -> None:
    before = packing.sha256()
    packing.body.cache_clear()
    assert packing.sha256() == before == hashlib.sha256(packing.body()).hexdigest()


def test_the_program_is_installed_once_and_its_release_can_be_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    assert archive.version(str(path)) == ""
    [change] = _plan(path)
    assert (change.before, change.after) == ("", f"hpc.jupyter {layout.VERSION} {packing.sha256()} 0755\n")
    change.make()
    assert path.stat().st_mode & 0o777 == 0o755
    assert archive.version(str(path)) == f"hpc.jupyter {layout.VERSION}"
    assert _plan(path) == []


@pytest.mark.parametrize("damage", [b"not an archive", b"#!/bin/sh\n"])
def test_a_program_that_is_another_one_is_replaced(tmp_path: pathlib.Path, damage: bytes) -> None:
    path = tmp_path / "hpc-session"
    path.write_bytes(damage)
    assert archive.version(str(path)) == ""
    [change] = _plan(path)
    assert change.before.startswith("something else ")
    change.make()
    path.write_bytes(path.read_bytes()[:-1])
    assert len(_plan(path)) == 1


def test_a_program_whose_content_is_damaged_is_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    changes.apply(_plan(path))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"import sys", b"import cgi", 1))
    assert len(_plan(path)) == 1
    path.write_bytes(content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\xff\xff", 1))
    assert len(_plan(path)) == 1


def test_a_program_that_an_older_python_has_compiled_is_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    changes.apply(_plan(path))
    path.write_bytes(path.read_bytes().replace(importlib.util.MAGIC_NUMBER.hex().encode(), b"610d0d0a"))
    assert len(_plan(path)) == 1


def test_the_same_program_for_the_same_python_is_the_same_bytes() -> None:
    install = "import sys; sys.stdout.buffer.write(archive.compiled(packing.body(), sha256=packing.sha256()))"
    load = f"import json, html, {ENTRY}.command; from {ENTRY} import archive; from {packing.__package__} import packing"
    done = subprocess.run(
        [sys.executable, "-c", f"{load}; {install}"], stdout=subprocess.PIPE, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout == archive.compiled(packing.body(), sha256=packing.sha256())


def test_its_bytecode_is_used_and_that_of_another_python_is_not(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    changes.apply(_plan(path))
    mine = path.read_bytes()
    path.write_bytes(mine.replace(importlib.util.MAGIC_NUMBER, b"\x01\x02\r\n"))
    said = [_compiles(each, tmp_path) for each in (path, _written(tmp_path / "mine", mine))]
    assert said == [True, False]


def _written(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.write_bytes(content)
    return path


def _compiles(path: pathlib.Path, place: pathlib.Path) -> bool:
    """Whether Python compiled one of its modules to run it."""
    load = f"{_WATCHED}sys.path.insert(0, {str(path)!r}); from {ENTRY} import layout; print('layout.py' in str(seen))"
    done = subprocess.run([sys.executable, "-I", "-c", load], stdout=subprocess.PIPE, check=True, timeout=60, cwd=place)
    return done.stdout == b"True\n"


def test_it_needs_nothing_but_itself(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    changes.apply(_plan(path))
    load = f"import sys; sys.path.insert(0, {str(path)!r}); from {ENTRY} import session; print(session.__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", load], stdout=subprocess.PIPE, check=True, timeout=60, cwd=os.path.sep,
    )
    assert done.stdout.decode().startswith(str(path))


def test_a_link_is_made_only_where_nothing_else_is(tmp_path: pathlib.Path) -> None:
    path, link = tmp_path / "hpc-session", tmp_path / "bin" / "hpc-session"
    path.touch()
    changes.apply(program.link(str(link), str(path)))
    assert link.resolve() == path
    assert program.link(str(link), str(path)) == []
    path.rename(tmp_path / "elsewhere")
    assert len(program.link(str(link), str(tmp_path / "elsewhere"))) == 1
    link.unlink()
    link.write_text("somebody's")
    assert program.link(str(link), str(path)) == []

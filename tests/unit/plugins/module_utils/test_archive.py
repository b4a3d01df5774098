# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import archive, layout, session

ENTRY = "ansible_collections.hpc.jupyter.plugins.module_utils"


def test_the_same_code_gives_the_same_bytes() -> None:
    assert archive.pack(session, python="/usr/bin/python3") == archive.pack(session, python="/usr/bin/python3")


def test_only_what_the_program_needs_is_in_it() -> None:
    found = {name[len(ENTRY) + 1:] for name in archive.closure(session.__name__)}
    assert {"session", "record", "errors", "schedulers.base"} <= found
    assert found.isdisjoint({"archive", "environment", "certificate", "account"})


def test_a_package_brings_all_its_modules() -> None:
    found = archive.closure(f"{ENTRY}.schedulers")
    assert {f"{ENTRY}.schedulers.slurm", f"{ENTRY}.schedulers.none"} <= found


@pytest.mark.parametrize("directory", ["plain", "with space", "with 'quote", "l" * 130])
def test_it_runs_with_the_python_it_was_made_for(tmp_path: pathlib.Path, directory: str) -> None:
    home = tmp_path / directory
    home.mkdir()
    python = home / "python3"
    python.symlink_to(sys.executable)
    content = io.BytesIO(archive.shebang(str(python)))
    with zipfile.ZipFile(content, "a") as program:
        program.writestr("__main__.py", "import sys; print(sys.argv[1:])")
    path = home / "hpc-session"
    path.write_bytes(content.getvalue())
    path.chmod(0o755)
    done = subprocess.run([str(path), "a b", "$c"], stdout=subprocess.PIPE, check=True, timeout=60)
    assert done.stdout == b"['a b', '$c']\n"


def test_its_release_can_be_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    assert archive.version(str(path)) == ""
    path.write_text("not an archive")
    assert archive.version(str(path)) == ""
    path.write_bytes(archive.pack(session, python=sys.executable))
    assert archive.version(str(path)) == f"hpc.jupyter {layout.VERSION}"


def test_it_needs_nothing_but_itself(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "hpc-session"
    path.write_bytes(archive.pack(session, python=sys.executable))
    load = f"import sys; sys.path.insert(0, {str(path)!r}); from {ENTRY} import session; print(session.__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", load], stdout=subprocess.PIPE, check=True, timeout=60, cwd=os.path.sep,
    )
    assert done.stdout.decode().startswith(str(path))

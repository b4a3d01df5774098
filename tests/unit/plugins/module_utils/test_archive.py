# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import pathlib
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import archive


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

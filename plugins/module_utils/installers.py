# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that install packages: uv from the account or from a wheel, and the pip that Python brings.

Both are used where they lie: to install pip before uv, as ensurepip does, takes longer than to install JupyterLab.
"""

from __future__ import annotations

import glob
import hashlib
import io
import os
import shutil
import zipfile
from functools import lru_cache
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result, run

_FORGET = [part for name in ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV",
                             "CONDA_PREFIX") for part in ("-u", name)]
_BUNDLED = """
import ensurepip, glob, os
for place in getattr(ensurepip, "_WHEEL_PKG_DIR", None), os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"):
    for wheel in sorted(glob.glob(os.path.join(place or os.devnull, "pip-*.whl"))):
        print(wheel)
"""


def command(argv: Sequence[str], *, timeout_seconds: float) -> Result:
    """Run ``argv`` without the settings of another environment that may be active."""
    return run(["env", *_FORGET, *argv], timeout_seconds=timeout_seconds)


def find_uv(prefix: str) -> str | None:
    """uv on PATH, where its installer puts it, or in the environment at ``prefix`` itself."""
    places = [os.path.expanduser("~/.local/bin"), os.path.join(prefix, "bin")]
    return shutil.which("uv") or shutil.which("uv", path=os.pathsep.join(places))


def unpack_uv(wheelhouse: str, lock: str, prefix: str) -> bool:
    """Put the uv of a wheel that ``lock`` lists with its hash into the environment at ``prefix``.

    Returns whether there is one in ``wheelhouse`` that runs on this host.
    """
    path = os.path.join(prefix, "bin", "uv")
    for wheel in glob.glob(os.path.join(glob.escape(wheelhouse), f"uv-*linux*_{os.uname().machine}.whl")):
        try:
            with open(wheel, "rb") as stream:
                content = stream.read()  # once: others may write to the directory
        except OSError:  # the installer says what is wrong with it
            continue
        if f"sha256:{hashlib.sha256(content).hexdigest()}" not in lock:
            continue
        with zipfile.ZipFile(io.BytesIO(content)) as unpacked:
            name = next(entry for entry in unpacked.namelist() if entry.endswith(".data/scripts/uv"))
            with unpacked.open(name) as source, open(path, "wb") as program:
                shutil.copyfileobj(source, program)
        os.chmod(path, 0o700)
        if command([path, "--version"], timeout_seconds=60).code == 0:
            return True
        os.unlink(path)
    return False


@lru_cache(maxsize=1)
def bundled_pip(python: str) -> str:
    """The wheel of pip that comes with ``python``, from which it can be run; empty if it brings none."""
    found = command([python, "-I", "-c", _BUNDLED], timeout_seconds=30)
    return found.out.partition("\n")[0] if found.code == 0 else ""

"""A real JupyterLab for tests, made once from the environment role's own lock: `.build/jupyter/…/bin/python`.

It lacks one package that jsonschema does without: it builds a grammar whenever it is imported, which takes longer than
all the rest of Jupyter's start. The lab's JupyterLab has every package of the lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.wheelhouse import ROOT, wheelhouse

_LOCK = ROOT / "roles/jupyter_environment/files/requirements.txt"
_SLOW_AND_OPTIONAL = "rfc3987-syntax"
INTERFACES = ROOT / "tests/interfaces.txt"
"""Notebook 7 and the classic notebook, which the lock has not."""


def jupyter_python(python: str = "/usr/bin/python3", *, more: tuple[Path, ...] = ()) -> Path:
    """The Python of an environment with JupyterLab, and what the locks ``more`` add; made again when one changes."""
    wheels = {lock: wheelhouse(python, locks=(lock,)) for lock in more}
    wheels[_LOCK] = wheelhouse(python)
    content = b"".join(lock.read_bytes() for lock in (_LOCK, *more)) + (python + _SLOW_AND_OPTIONAL).encode()
    place = ROOT / ".build" / "jupyter" / hashlib.sha256(content).hexdigest()[:12]
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{place}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _make(place, python=python, wheels=wheels)
            (place / "complete").touch()
    return place / "bin" / "python"


def _make(place: Path, *, python: str, wheels: Mapping[Path, Path]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(place)], check=True, timeout=300)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq"]
    for lock, found in wheels.items():
        source = ["--no-index", "--find-links", str(found), "--no-deps", "--require-hashes", "-r", str(lock)]
        subprocess.run([*pip, "install", *source], check=True, timeout=900)
    subprocess.run([*pip, "uninstall", "-y", _SLOW_AND_OPTIONAL], check=True, timeout=60)

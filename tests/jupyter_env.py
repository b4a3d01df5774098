"""A real JupyterLab for tests, made once from the environment role's own lock: `.build/jupyter/…/bin/python`."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.wheelhouse import ROOT, wheelhouse

_LOCK = ROOT / "roles/jupyter_environment/files/requirements.txt"
INTERFACES = ROOT / "tests/interfaces.txt"
"""Notebook 7 and the classic notebook, which the lock has not."""


def jupyter_python(python: str = "/usr/bin/python3", *, more: tuple[Path, ...] = ()) -> Path:
    """The Python of an environment with JupyterLab, and what the locks ``more`` add; made again when one changes."""
    wheels = {lock: wheelhouse(python, locks=(lock,)) for lock in more}
    wheels[_LOCK] = wheelhouse(python)
    content = b"".join(lock.read_bytes() for lock in (_LOCK, *more)) + python.encode()
    place = ROOT / ".build" / "jupyter" / hashlib.sha256(content).hexdigest()[:12]
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{place}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _make(place, python=python, wheels=wheels)
            (place / "complete").touch()
    return place / "bin" / "python"


def _make(place: Path, *, python: str, wheels: Mapping[Path, Path]) -> None:
    """With uv, as tests/laptop.py does: pip takes several times as long."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--clear", "--offline", "--python", python, str(place)], check=True, timeout=300)
    target = ["--python", str(place / "bin" / "python"), "--compile-bytecode"]
    install = [uv, "pip", "install", "-q", "--offline", "--no-cache", "--no-index", *target]
    for lock, found in wheels.items():
        source = ["--find-links", str(found), "--no-deps", "--require-hashes", "-r", str(lock)]
        subprocess.run([*install, *source], check=True, timeout=900)

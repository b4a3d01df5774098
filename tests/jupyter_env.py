"""A real JupyterLab for tests, made once from the environment role's own lock: `.build/jupyter/…/bin/python`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.wheelhouse import ROOT, wheelhouse

_LOCK = ROOT / "roles/jupyter_environment/files/requirements.txt"


def jupyter_python(python: str = "/usr/bin/python3") -> Path:
    """The Python of an environment with JupyterLab; made again when the lock changes."""
    wheels = wheelhouse(python)
    content = _LOCK.read_bytes() + python.encode()
    place = ROOT / ".build" / "jupyter" / hashlib.sha256(content).hexdigest()[:12]
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{place}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _make(place, python=python, wheels=wheels)
            (place / "complete").touch()
    return place / "bin" / "python"


def _make(place: Path, *, python: str, wheels: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(place)], check=True, timeout=300)
    pip = [str(place / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    source = ["--no-index", "--find-links", str(wheels), "--no-deps", "--require-hashes", "-r", str(_LOCK)]
    subprocess.run([*pip, *source], check=True, timeout=900)

"""The wheel and the collection's tarball: built from the checkout, or as `make release` has put them into dist/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_RELEASED = os.environ.get("HPC_JUPYTER_RELEASED", "")
"""The directory of a release; the checkout is built where it is empty."""


def wheel(place: Path) -> Path:
    """The wheel, in ``place`` unless it is there already."""
    return _released("*.whl") or _built(place, "*.whl", "python", "-m", "hatchling", "build", "-t", "wheel", "-d")


def tarball(place: Path) -> Path:
    """The tarball, in ``place`` unless it is there already."""
    return _released("*.tar.gz") or _built(place, "*.tar.gz", "ansible-galaxy", "collection", "build", "--output-path")


def _released(pattern: str) -> Path | None:
    return next(Path(_RELEASED).glob(pattern)) if _RELEASED else None


def _built(place: Path, pattern: str, program: str, *arguments: str) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    argv = [str(Path(sys.executable).with_name(program)), *arguments, str(place)]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(place.glob(pattern))

"""Makes `.build/wheelhouse` once: every wheel of some lock files, so that tests install without a network.

Run it to make it by hand, for another Python too: `python tests/wheelhouse.py [PYTHON]`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JUPYTER = tuple(ROOT / "roles/jupyter_environment/files" / name for name in ("requirements.txt", "requirements-uv.txt"))
CLIENT = (ROOT / "requirements/run.txt",)


def wheelhouse(python: str = "/usr/bin/python3", *, locks: Sequence[Path] = JUPYTER) -> Path:
    """The directory with the wheels that `python` needs; made again when a lock changes."""
    content = b"".join(lock.read_bytes() for lock in locks) + _version(python)
    place = ROOT / ".build" / "wheelhouse" / hashlib.sha256(content).hexdigest()[:12]
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="new-", dir=place.parent))
        _download(python, made, locks)
        made.chmod(0o755)
        if place.is_dir():  # another process was faster
            shutil.rmtree(made)
        else:
            made.rename(place)
    return place


def _version(python: str) -> bytes:
    tell = "import sys; print(sys.version_info[:2])"
    return subprocess.run([python, "-I", "-c", tell], check=True, capture_output=True, timeout=60).stdout


def _download(python: str, to: Path, locks: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([python, "-m", "venv", scratch], check=True, timeout=300)
        pip = [f"{scratch}/bin/python", "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--no-deps"]
        for lock in locks:
            command = [*pip, "--only-binary", ":all:", "--require-hashes", "--dest", str(to), "-r", str(lock)]
            subprocess.run(command, check=True, timeout=900, env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"})


if __name__ == "__main__":
    print(wheelhouse(*sys.argv[1:]))

"""Helpers of these tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and a home directory that nothing was ever written to."""

    path: Path
    home: Path
    collections: str

    def run(self, *argv: str) -> str:
        """Run one of its programs outside the checkout; returns what it printed."""
        environ = {
            "PATH": f"{self.path}/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": self.collections,
        }
        done = subprocess.run(
            [str(self.path / "bin" / argv[0]), *argv[1:]],
            cwd=self.home, env=environ, check=False, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def tracked(*paths: str) -> set[str]:
    """The files below ``paths`` that git knows, or would once they are added."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}

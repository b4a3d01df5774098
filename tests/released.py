"""Try the release in dist/: wheel and tarball, each where nothing else of ours is, and the lab's playbooks from both.

LAB=skip leaves the lab out, which needs root.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests import machine

DIST = machine.ROOT / "dist"
INSTALLED = ("tests/package/test_contents.py", "tests/package/test_installed.py")
PLAYED = ("tests/lab/test_playbooks.py",)


def main() -> int:
    """0 when all of it works."""
    with_lab = os.environ.get("LAB") != "skip"
    refusal = machine.make_ready(root_needed=["the lab"] if with_lab else [])
    if refusal:
        print(refusal)
        return 2
    tried = [("wheel", INSTALLED), *([("wheel", PLAYED), ("tarball", PLAYED)] if with_lab else [])]
    failed = [client for client, tests in tried if not _passes(client, *tests)]
    if not with_lab:
        print("NOT TESTED, since LAB=skip: the lab's playbooks")
    return 1 if failed else 0


def _passes(client: str, *tests: str) -> bool:
    print(f"From the {client}: {' '.join(Path(test).stem for test in tests)}", flush=True)
    environ = {**machine.environment(), "HPC_JUPYTER_RELEASED": str(DIST), "HPC_JUPYTER_CLIENT": client}
    argv = [sys.executable, "-m", "pytest", "--quiet", *tests]
    return subprocess.run(argv, cwd=machine.ROOT, env=environ, check=False, timeout=3600).returncode == 0


if __name__ == "__main__":
    sys.exit(main())

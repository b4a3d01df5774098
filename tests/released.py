"""Try the release in dist/: wheel and tarball, each where nothing else of ours is, and a lab's days with both.

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
BY_PLAYBOOKS = ("awx", "connect", "old_login_host", "playbooks")
"""Tests of the lab that use no command of ours: all that a tarball can show."""
EVERY_DAY = ("access", "cli", "doctor", "first", "heal", "job", "leftovers", "offline", "one_job", "queue")
"""Those of what a person does with the command. The rest break schedulers and attack: `make test` has done that."""


def main() -> int:
    """0 when all of it works."""
    machine.end_in_order()
    with_lab = os.environ.get("LAB") != "skip"
    refusal = machine.make_ready(root_needed=["the lab"] if with_lab else [])
    if refusal:
        print(refusal)
        return 2
    in_lab = [("wheel", _of_lab(*EVERY_DAY, *BY_PLAYBOOKS)), ("tarball", _of_lab(*BY_PLAYBOOKS))]
    tried = [("wheel", INSTALLED), *(in_lab if with_lab else [])]
    failed = [client for client, tests in tried if not _passes(client, *tests)]
    if not with_lab:
        print("NOT TESTED, since LAB=skip: a session on a cluster, from the wheel and from the tarball")
    return 1 if failed else 0


def _of_lab(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/lab/test_{name}.py" for name in names)


def _passes(client: str, *tests: str) -> bool:
    print(f"From the {client}: {' '.join(Path(test).stem for test in tests)}", flush=True)
    environ = {**machine.environment(), "HPC_JUPYTER_RELEASED": str(DIST), "HPC_JUPYTER_CLIENT": client}
    argv = [sys.executable, "-m", "pytest", "--quiet", *tests]
    return subprocess.run(argv, cwd=machine.ROOT, env=environ, check=False, timeout=3600).returncode == 0


if __name__ == "__main__":
    sys.exit(main())

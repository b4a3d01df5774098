"""What the tests need of the machine: Debian packages, the right Pythons on PATH, caches below .build."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
BROWSER = ("chromium", "libnss3-tools")
ALWAYS = ("environment-modules", "git", "netcat-openbsd", "openssh-client", "python3-venv", "screen", "tmux")
_POLICY = Path("/usr/sbin/policy-rc.d")


def make_ready(*, root_needed: Sequence[str]) -> str:
    """Install what is missing; returns why the tests cannot run, or nothing."""
    is_root = os.geteuid() == 0
    if root_needed and not is_root:
        return (
            f"These parts make network namespaces and need root: {', '.join(root_needed)}.\n"
            "Run `sudo make test`, or `make test LAB=skip` to leave them out."
        )
    missing = _missing([*ALWAYS, *(BROWSER if root_needed else ()), *(_lab_packages() if root_needed else ())])
    if not missing:
        return ""
    if not is_root or shutil.which("apt-get") is None:
        return f"The tests need these Debian packages:\n    sudo apt-get install {' '.join(missing)}"
    return _apt_install(missing)


def end_in_order() -> None:
    """Ctrl-C, which a shell ignores for those in its background, and SIGTERM alike end what we have started, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _lab_packages() -> list[str]:
    asked = subprocess.run(
        [sys.executable, "-m", "hpclab", "packages"],
        cwd=ROOT, env={**environment(), "PYTHONPATH": "tests/lab"}, check=True, stdout=subprocess.PIPE, text=True,
        timeout=60,
    )  # fmt: skip
    return asked.stdout.split()


def _missing(names: Sequence[str]) -> list[str]:
    if shutil.which("dpkg-query") is None:
        return sorted(set(names))
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n"]
    listed = subprocess.run(query, check=True, capture_output=True, text=True, timeout=60).stdout
    installed = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return sorted(set(names) - installed)


def _apt_install(names: Sequence[str]) -> str:
    print(f"Installing with apt: {' '.join(names)}", flush=True)
    log = BUILD / "apt.log"
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("wb") as output, _no_service_starts():
        for argv in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *names]):
            done = subprocess.run(
                ["apt-get", *argv], env=environ, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                timeout=900,
            )  # fmt: skip
    if done.returncode == 0:
        return ""
    return f"apt-get install {' '.join(names)} failed:\n{log.read_text(errors='replace')[-3000:]}"


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """The lab runs its own sshd and Slurm; installing theirs must not open a port on this machine."""
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink()


def environment() -> dict[str, str]:
    """What every part runs with: this environment's programs first, no caches or settings of the person's own."""
    ours = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), *_search_path()]),
        "ANSIBLE_HOME": str(BUILD / "ansible-home"),
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHON", "PYTEST_"))}
    return {**kept, **ours}


def _search_path() -> list[str]:
    """PATH without pyenv's shims, which ansible-test takes for interpreters; what they stand for comes last."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    usual = [name for name in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(name).name != "shims"]
    return [*usual, *(str(path) for path in sorted(versions.glob("3.*/bin")))]


if __name__ == "__main__":
    sys.exit(make_ready(root_needed=["the lab"]) or 0)

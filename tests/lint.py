"""Run every linter, all of them even when one complains, and say which did."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

from tests import machine

HOME = machine.BUILD / "lint-home"
"""Some linters leave logs and caches in the home directory."""
COLLECTION = ".build/ansible_collections/hpc/jupyter"


def commands() -> dict[str, list[str]]:
    """Each linter's name and command line, run from the top of the checkout."""
    return {
        "ruff": ["ruff", "check", "--quiet", "."],
        "mypy": ["mypy", "src", f"{COLLECTION}/plugins", "tests", "tools", "hatch_build.py"],
        # the oldest Python that ansible-core 2.19 runs modules on, which mypy no longer knows
        "vermin": ["vermin", "--target=3.8-", "--no-tips", "--violations", "--backport", "dataclasses",
                   "plugins/module_utils", "plugins/modules"],
        "yamllint": ["yamllint", "--strict", "."],
        "ansible-lint": ["ansible-lint", "--offline", "--strict", "--nocolor"],
        "antsibull-docs": ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--check-extra-docs-refs",
                           "--validate-collection-refs=self", "."],
        "antsibull-changelog": ["antsibull-changelog", "lint"],
        "docs": [*_without_network(), "python", "tools/site/build.py"],
        "shellcheck": ["shellcheck", *_shell_scripts()],
    }  # fmt: skip


def _without_network() -> list[str]:
    """Who may not leave the network builds the same with it."""
    leave = ["unshare", "--net"]
    if shutil.which(leave[0]) is None:
        return []
    tried = subprocess.run([*leave, "true"], check=False, stderr=subprocess.DEVNULL, timeout=10)
    return leave if tried.returncode == 0 else []


def _shell_scripts() -> list[str]:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.sh", ".ci/run"]
    listed = subprocess.run(listing, cwd=machine.ROOT, check=True, capture_output=True, text=True, timeout=60)
    return listed.stdout.split()


def lint(name: str, argv: list[str]) -> bool:
    """Run one linter; its output is shown when it complains."""
    began = time.monotonic()
    HOME.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        argv, cwd=machine.ROOT, env={**machine.environment(), "HOME": str(HOME)}, check=False, text=True, timeout=300,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    print(f"{name:<20} {'FAILED' if done.returncode else 'ok':<6} {time.monotonic() - began:5.1f} s", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    failed = [name for name, argv in commands().items() if not lint(name, argv)]
    sys.exit(f"unclean: {', '.join(failed)}" if failed else 0)

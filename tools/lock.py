"""Write requirements/*.txt: every package, pinned and with the hashes of its files, for the Pythons we support."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [
    "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate",
    "--no-emit-index-url", "--no-emit-find-links", "--quiet",
]  # fmt: skip
FROM_PIP = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_CERT": "SSL_CERT_FILE"}


def environment() -> dict[str, str]:
    """The environment, with pip's settings translated for uv, which does not read them."""
    translated = {theirs: os.environ[ours] for ours, theirs in FROM_PIP.items() if ours in os.environ}
    return {**translated, **os.environ}


def compile_lock(name: str, *options: str) -> None:
    """Write one lock file; versions that it already has stay unless --upgrade is given."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *OPTIONS, *options, *sys.argv[1:]]
    command += ["--output-file", f"requirements/{name}.txt"]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, timeout=600)


if __name__ == "__main__":
    compile_lock("run", "pyproject.toml")
    # the same versions in all three, so that tests see what people get
    compile_lock("dev", "pyproject.toml", "--group", "dev", "--constraint", "requirements/run.txt")
    compile_lock("uv", "requirements/uv.in", "--constraint", "requirements/dev.txt")
    # what make bench measures against, in an environment of its own
    compile_lock("peer", "requirements/peer.in")

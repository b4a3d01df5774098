"""The inventory, read in our own process by Ansible's code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.test_command import run

OWN_FILTER = """\
all:
  hosts:
    alice@lab:
      hpc_scheduler: slurm
      hpc_login_hosts: ["{{ 'x@y' | hpc.jupyter.ssh_args | length }}.example"]
"""


def test_an_inventory_may_use_our_own_filters(environment: dict[str, str], tmp_path: Path) -> None:
    """Ansible's loader used to say that the metadata of hpc.jupyter was not loaded."""
    (tmp_path / "hosts.yml").write_text(OWN_FILTER)
    shown = run(environment, "accounts").stdout
    assert shown.startswith("alice@lab  slurm, ")
    assert shown.endswith(".example\n")


def test_python_imports_as_before_once_the_inventory_is_read(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(OWN_FILTER)
    script = (
        "import sys; from hpc_jupyter.account import load; load([sys.argv[1]])\n"
        "from ansible_collections.hpc.jupyter.plugins.plugin_utils import password\n"
        "from hpc_jupyter import access, connection, hold, play\n"
        "print([type(finder).__name__ for finder in sys.meta_path if 'Ansible' in type(finder).__name__])"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "hosts.yml")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_status_asks_the_accounts_that_were_used(environment: dict[str, str]) -> None:
    for account in ("local", "alice@lab"):
        used = Path(environment["XDG_STATE_HOME"]) / "hpc-jupyter" / account
        used.mkdir(parents=True, mode=0o700)
        (used / "default.session.json").write_text(json.dumps({"port": 0}))
    done = run(environment, "-i", environment["HPC_JUPYTER_INVENTORY"], "status")
    told = done.stdout.splitlines()
    assert told[0].startswith("alice@lab: lab: gateway gate.invalid: ")
    assert told[1] == "local: no session"


def test_nothing_of_ansibles_is_left_in_the_home_directory(environment: dict[str, str], tmp_path: Path) -> None:
    assert run(environment, "status", "local").returncode == 0
    assert not (tmp_path / ".ansible").exists()

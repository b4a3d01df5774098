"""The inventory, read by Ansible's code in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import SCHEDULERS

from hpc_jupyter.inventory import accounts_file
from tests.cli.test_command import run
from tests.machine import ROOT

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


def test_ansible_is_not_in_the_process_that_holds_a_forward(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(OWN_FILTER)
    script = (
        "import sys; from hpc_jupyter.account import Reading\n"
        "from hpc_jupyter import access, connection, hold, play\n"
        "from hpc_jupyter.commands import launch, launching\n"
        "print(list(Reading([sys.argv[1]]).result().accounts), 'ansible' in sys.modules)"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "hosts.yml")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['alice@lab'] False\n"


def test_what_lies_in_the_working_directory_is_not_taken_for_ours(environment: dict[str, str], tmp_path: Path) -> None:
    for name in ("json.py", "hpc_jupyter.py"):
        (tmp_path / name).write_text("raise SystemExit('taken')\n")
    script = (
        "import os, sys; from hpc_jupyter.account import Reading; os.chdir(sys.argv[2])\n"
        "print(len(Reading([sys.argv[1]]).result().accounts))"
    )
    (tmp_path / "hosts.yml").write_text(OWN_FILTER)
    argv = [sys.executable, "-c", script, str(tmp_path / "hosts.yml"), str(tmp_path)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_what_an_inventorys_program_prints_besides_is_no_part_of_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "lab"
    program.write_text(
        "#!/bin/sh\necho words >&2\n"
        """echo '{"lab": {"hosts": ["alice@lab"]}, "_meta": {"hostvars": """
        """{"alice@lab": {"hpc_scheduler": "none", "hpc_login_hosts": ["lab.invalid"]}}}}'\n"""
    )
    program.chmod(0o755)
    done = run(environment, "-i", str(program), "accounts")
    assert done.stdout == "alice@lab  no scheduler, lab.invalid\n"


def test_a_reader_that_is_killed_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "lab"
    program.write_text("#!/bin/sh\nkill -9 $PPID\n")
    program.chmod(0o755)
    done = run(environment, "-i", str(program), "accounts")
    assert done.returncode == 2
    assert done.stderr == f"hpc-jupyter: inventory: {program} cannot be read: what reads it has ended (-9)\n"


def test_status_asks_the_accounts_that_were_used(environment: dict[str, str]) -> None:
    for account in ("local", "alice@lab"):
        used = Path(environment["XDG_STATE_HOME"]) / "hpc-jupyter" / account
        used.mkdir(parents=True, mode=0o700)
        (used / "default.session.json").write_text(json.dumps({"port": 0}))
    done = run(environment, "-i", environment["HPC_JUPYTER_INVENTORY"], "status")
    told = done.stdout.splitlines()
    assert told[0].startswith("alice@lab: lab: gateway gate.invalid: ")
    assert told[1] == "local: no session"


BAD_FACTS = [
    ("hpc_scheduler: slrum", f"hpc_scheduler: 'slrum' is not one of {', '.join(SCHEDULERS)}"),
    ("hpc_gateways: [gate, bob@gate]", "hpc_gateways: gate:22 is there twice; the way would go in a loop"),
    ("hpc_login_host: login", "hpc_login_host: is not a cluster fact. Did you mean hpc_login_hosts?"),
    ("hpc_login_hosts: login", "hpc_login_hosts: 'login' is not a list. Write it as a YAML list, also where"),
    ("hpc_login_port: 65536", "hpc_login_port: 65536 is not a port. Allowed are 1 to 65535"),
    ("hpc_host_keys: {gate: [abc]}", "hpc_host_keys: gate: 'abc' is not a fingerprint. Allowed is SHA256: and 43 "),
    ("hpc_route: lna", "hpc_route: 'lna' is not one of auto, local, node, step, lan, reverse. Did you mean lan?"),
    ("hpc_gateways: [{host: gate, relay: jumb}]", "hpc_gateways: 'jumb' is not one of jump, nc. Did you mean jump?"),
    ("hpc_user: -l", "hpc_user: '-l' is not a user name. Allowed are letters, digits and ._@+-, at most 64"),
]


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """An inventory with a cluster for each of ``BAD_FACTS``."""
    inventory = tmp_path / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    groups: dict[str, Any] = {f"lab{number}": {"hosts": {f"alice@lab{number}": {}}} for number in range(len(BAD_FACTS))}
    (inventory / "hosts.yml").write_text(json.dumps({"all": {"children": groups}}))
    good = {"hpc_scheduler": "slurm", "hpc_login_hosts": ["login"]}
    for number, (line, _message) in enumerate(BAD_FACTS):
        others = [f"{name}: {json.dumps(value)}" for name, value in good.items() if not line.startswith(f"{name}:")]
        (inventory / f"group_vars/lab{number}.yml").write_text("\n".join(["---", line, *others]) + "\n")
    return inventory


def test_bad_facts_are_told_with_file_and_line(environment: dict[str, str], wrong: Path) -> None:
    told = dict(line.split("  ", 1) for line in run(environment, "-i", str(wrong), "accounts").stdout.splitlines())
    assert len(told) == len(BAD_FACTS)
    for number, (_line, message) in enumerate(BAD_FACTS):
        assert told[f"alice@lab{number}"].startswith(f"{wrong}/group_vars/lab{number}.yml:2: {message}")


@pytest.mark.parametrize("verb", ["launch", "connect", "login"])
def test_bad_facts_are_refused_before_anything_is_contacted(
    environment: dict[str, str], wrong: Path, verb: str
) -> None:
    done = run(environment, "-i", str(wrong), verb, "alice@lab0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"hpc-jupyter: {wrong}/group_vars/lab0.yml:2: {BAD_FACTS[0][1]}. Did you mean slurm?\n"
    assert not (Path(environment["XDG_STATE_HOME"]) / "hpc-jupyter" / "alice@lab0").exists()


def test_nothing_of_ansibles_is_left_in_the_home_directory(environment: dict[str, str], tmp_path: Path) -> None:
    assert run(environment, "status", "local").returncode == 0
    assert not (tmp_path / ".ansible").exists()
    lab = tmp_path / "lab.accounts.yml"
    lab.write_text(LAB)
    done = run(environment, "-i", str(lab), "trust", "cori", "--write")
    assert "without a terminal nobody can be asked" in done.stderr
    assert not (tmp_path / ".ansible").exists()


def test_nothing_temporary_is_kept_once_the_inventory_is_read(environment: dict[str, str], tmp_path: Path) -> None:
    """A holder that is killed cannot remove anything."""
    code = (
        "import os; from hpc_jupyter.account import Reading\n"
        "Reading([]).result(); print(os.listdir(os.environ['TMPDIR']))"
    )
    place = tmp_path / "temporary"
    place.mkdir()
    argv = [sys.executable, "-c", code]
    there = {**environment, "TMPDIR": str(place)}
    done = subprocess.run(argv, env=there, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


LAB = """\
plugin: hpc.jupyter.accounts
clusters:
  cori: {hpc_login_hosts: [cori.invalid], hpc_scheduler: slurm}
  hydra-2:
    hpc_gateways: [gate.invalid]
    hpc_login_hosts: [hydra.invalid]
    hpc_scheduler: none
people:
  alice: {accounts: {cori: asmith, hydra-2: alice}}
  bob: {accounts: [cori]}
"""


def test_an_accounts_file_is_an_inventory(environment: dict[str, str], tmp_path: Path) -> None:
    lab = tmp_path / "lab.accounts.yml"
    lab.write_text(LAB)
    assert run(environment, "-i", str(lab), "accounts").stdout.splitlines() == [
        "alice@cori     asmith  slurm, cori.invalid",
        "alice@hydra-2  alice   no scheduler, gate.invalid → hydra.invalid",
        "bob@cori       bob     slurm, cori.invalid",
    ]
    argv = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(lab), "--graph"]
    path = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"), "LC_ALL": "C.UTF-8"}
    told = subprocess.run(argv, env={**environment, **path}, capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.replace("|", "").split() == [
        "@all:", "--@ungrouped:", "--@cori:", "--alice@cori", "--bob@cori", "--@hydra_2:", "--alice@hydra-2",
        "--@alice:", "--alice@cori", "--alice@hydra-2", "--@bob:", "--bob@cori",
    ]  # fmt: skip


def test_what_is_wrong_in_an_accounts_file_is_told_with_its_line(environment: dict[str, str], tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "lab.accounts.yml").write_text(LAB.replace("[cori]", "[cory]"))
    done = run(environment, "-i", str(inventory), "launch", "bob@cori")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"hpc-jupyter: {inventory}/lab.accounts.yml:10: bob: 'cory' is not a cluster of this file. Did you mean cori?\n"
    )


def test_the_accounts_file_of_a_cluster_is_found_among_the_sources(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {local: {}}}\n")
    (tmp_path / "lab.accounts.yml").write_text(LAB)
    assert accounts_file([str(tmp_path)], "hydra-2") == f"{tmp_path}/lab.accounts.yml"
    assert accounts_file([f"{tmp_path}/lab.accounts.yml"], "dice") == ""
    assert accounts_file([f"{tmp_path}/hosts.yml"], "cori") == ""

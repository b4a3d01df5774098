"""What was built works where nothing of the checkout is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.package.building import Environment


@pytest.mark.parametrize("command", ["hpc-jupyter", "jupyter-hpc"])
def test_the_command_of_the_wheel_shows_its_help(from_wheel: Environment, command: str) -> None:
    shown = from_wheel.run(command, "--help")
    assert shown.startswith("Usage: ")
    for verb in ("launch", "connect", "status", "restart", "stop", "logs"):
        assert verb in shown


@pytest.mark.parametrize("source", ["from_wheel", "from_tarball"])
def test_the_playbooks_are_found_by_name(request: pytest.FixtureRequest, source: str) -> None:
    environment: Environment = request.getfixturevalue(source)
    names = ("onboard", "setup", "launch", "status", "restart", "stop", "logs", "clean", "offboard", "rotate")
    asked = [f"hpc.jupyter.{name}" for name in names]
    shown = environment.run("ansible-playbook", *asked, "--syntax-check", "-i", "localhost,").split()
    assert [word for word in shown if word != "playbook:"] == shown[1::2]
    for name, path in zip(names, shown[1::2], strict=True):
        assert path.startswith(f"{environment.path.parent}/")
        assert path.endswith(f"/ansible_collections/hpc/jupyter/playbooks/{name}.yml")


@pytest.mark.parametrize("source", ["from_wheel", "from_tarball"])
@pytest.mark.parametrize("module", ["session", "session_info"])
def test_a_module_shows_its_documentation(request: pytest.FixtureRequest, source: str, module: str) -> None:
    environment: Environment = request.getfixturevalue(source)
    documents = json.loads(environment.run("ansible-doc", "--json", f"hpc.jupyter.{module}"))
    document = documents[f"hpc.jupyter.{module}"]
    assert document["doc"]["filename"].startswith(str(environment.path.parent))
    assert document["examples"]


@pytest.mark.parametrize("source", ["from_wheel", "from_tarball"])
def test_the_default_inventory_has_the_local_account(request: pytest.FixtureRequest, source: str) -> None:
    environment: Environment = request.getfixturevalue(source)
    document = json.loads(environment.run("ansible-doc", "--json", "hpc.jupyter.session"))
    module = document["hpc.jupyter.session"]["doc"]["filename"]
    inventory = module.replace("plugins/modules/session.py", "inventory")
    hosts = json.loads(environment.run("ansible-inventory", "-i", inventory, "--host", "local"))
    assert (hosts["hpc_scheduler"], hosts["hpc_route"]) == ("none", "local")


def test_ansible_builder_finds_what_an_execution_environment_needs(from_tarball: Environment) -> None:
    builder = Path(sys.executable).with_name("ansible-builder")
    asked = [str(builder), "introspect", from_tarball.collections]
    found = yaml.safe_load(subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout)
    named = {kind: [line.split("  # ")[0] for line in lines] for kind, lines in found.items()}
    assert named == {
        "python": ["argon2-cffi>=23.1,<26", "passlib>=1.7.4,<2"],
        "system": ["openssh-clients [platform:rpm]", "openssh-client [platform:dpkg]"],
    }

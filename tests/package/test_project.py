"""What is written twice agrees, and nothing a user sees is without documentation or a test."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hpc.jupyter.plugins.module_utils import layout
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import SCHEDULERS
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import ROUTES

from tests.package.building import ROOT, tracked
from tools import release

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
PLUGINS = sorted({
    path.stem
    for kind in ("modules", "action", "filter")
    for path in (ROOT / "plugins" / kind).iterdir()
    if path.is_file() and "DOCUMENTATION" in path.read_text(encoding="utf-8")
})  # fmt: skip
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


def _yaml(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def _occurs(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


@pytest.fixture(scope="module")
def tests_text() -> str:
    """All tests but these, as one text."""
    names = sorted(name for name in tracked("tests") if name.endswith((".py", ".yml")) and "tests/package/" not in name)
    return "\n".join(f"# {name}\n{(ROOT / name).read_text(encoding='utf-8')}" for name in names)


def test_the_version_is_the_same_everywhere() -> None:
    assert _yaml("galaxy.yml")["version"] == layout.VERSION
    assert importlib.metadata.version("hpc-jupyter") == layout.VERSION
    assert layout.VERSION in _yaml("changelogs/changelog.yaml")["releases"]
    for name, forms in release.WRITTEN.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not [form for form in forms if form.format(layout.VERSION) not in text]


def test_the_collection_asks_for_the_ansible_that_the_tests_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = next(name for name in project["dependencies"] if name.startswith("ansible-core"))
    asked = _yaml("meta/runtime.yml")["requires_ansible"]
    assert asked.replace("2.19.0", "2.19") == wanted.removeprefix("ansible-core")
    assert importlib.metadata.version("ansible-core").startswith("2.19.")


def test_an_execution_environment_has_all_that_the_controllers_plugins_import() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = (ROOT / "meta/ee-requirements.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert set(needed) <= set(project["dependencies"])
    plugins = tracked(*(f"plugins/{kind}/*.py" for kind in ("action", "filter", "inventory", "plugin_utils")))
    trees = [ast.parse((ROOT / name).read_text(encoding="utf-8")) for name in plugins]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imported = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    of_ansible = {"ansible", "ansible_collections", "cryptography", "packaging", "yaml"}
    others = {name.split(".")[0] for name in imported} - of_ansible - sys.stdlib_module_names
    assert others == {"argon2", "passlib"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_documents_that_agree_with_its_defaults(role: str) -> None:
    specs = _yaml(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    options: dict[str, Any] = {}
    for spec in specs.values():
        options.update(spec.get("options", {}))
    defaults = _yaml(f"roles/{role}/defaults/main.yml") or {}
    assert not [name for name in defaults if not name.startswith(f"{role}_")]
    assert set(defaults) <= set(options)
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert not [name for name in options if name.startswith(role) and name not in readme]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_the_default_that_it_has(role: str) -> None:
    specs = _yaml(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]
    defaults = _yaml(f"roles/{role}/defaults/main.yml") or {}
    said = {name: option["default"] for spec in specs.values() for name, option in spec.get("options", {}).items()
            if "default" in option}  # fmt: skip
    assert {name: defaults.get(name) for name in said if name in defaults} == {
        name: value for name, value in said.items() if name in defaults
    }


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_has_a_test(plugin: str, tests_text: str) -> None:
    assert _occurs(rf"\b{plugin}\b", tests_text)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_has_a_test(playbook: str, tests_text: str) -> None:
    assert _occurs(rf"""hpc\.jupyter\.{playbook}\b|["'/]{playbook}(\.yml)?["']""", tests_text)


@pytest.mark.parametrize(
    ("names", "document"),
    [
        (SCHEDULERS, "docs/schedulers.md"),
        (SCHEDULERS, "plugins/doc_fragments/account.py"),
        (SCHEDULERS, "roles/jupyter_session/meta/argument_specs.yml"),
        (ROUTES, "docs/architecture.md"),
        ([name for name in ROUTES if name != "local"], "docs/sites/README.md"),
    ],
)
def test_a_document_names_every_scheduler_or_route(names: Iterable[str], document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert not [name for name in names if not _occurs(rf"\b{name}\b", text)]


def test_the_map_of_the_modules_leads_to_files() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## A map of the modules")[1].split("\n## ")[0]
    places = ("plugins/module_utils", "plugins/plugin_utils", "src/hpc_jupyter")
    there = {path.stem for place in places for path in (ROOT / place).glob("*.py")}
    assert set(re.findall(r"`([a-z_]+)`", text)) <= there


@pytest.mark.parametrize("name", sorted(tracked("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs")))
def test_a_link_between_documents_leads_somewhere(name: str) -> None:
    page = ROOT / name
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / Path(target)).exists()]

"""Every role says the same in its argument specs, its defaults and its README; nothing else checks that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.machine import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("role", ROLES)
def test_specs_and_defaults_agree(role: str) -> None:
    points = _yaml(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"].values()
    options = {name: option for point in points for name, option in point["options"].items() if name.startswith(role)}
    defaults = {name: option["default"] for name, option in options.items()}
    assert defaults == _yaml(ROOT / "roles" / role / "defaults/main.yml")


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_names_every_variable_with_its_default(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text()
    rows = [line.split("|") for line in readme.splitlines() if line.startswith("| `")]
    told = {row[1].strip(" `"): yaml.safe_load(row[3].strip(" `")) for row in rows}
    assert told == _yaml(ROOT / "roles" / role / "defaults/main.yml")

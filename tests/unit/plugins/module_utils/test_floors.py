# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import activation, floors


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("4.6.6", (4, 6, 6)), ("4.6.2rc1", (4, 6)), ("2.21.0.dev0", (2, 21, 0)), ("", ()), ("unknown", ())],
)
def test_a_version_is_its_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert floors.release(version) == numbers


@pytest.mark.parametrize(
    ("name", "version", "problems"),
    [
        ("jupyter-server", "2.21.0", []),
        ("jupyter-server", "2.20.3", ["jupyter-server 2.20.3 has known holes, 2.21 is the first without"]),
        ("jupyterlab", "4.6.1", ["jupyterlab 4.6.1 has known holes, 4.6.2 is the first without"]),
        ("tornado", "6.4", ["tornado 6.4 has known holes, 6.5.8 is the first without"]),
        ("jupyter-server-proxy", "4.1.0", ["jupyter-server-proxy 4.1.0 has known holes, 4.1.1 is the first without"]),
        ("jupyter-server-proxy", "4.4.0", []),
        ("numpy", "1.0", []),
    ],
)
def test_what_is_below_its_floor_is_named(name: str, version: str, problems: list[str]) -> None:
    assert floors.below({name: version}, floors.FLOORS) == problems


def test_versions_are_those_of_this_python() -> None:
    assert set(floors.installed(["pytest", "no-such-package"])) == {"pytest"}


@pytest.mark.parametrize("allowed", [True, False])
def test_the_script_that_the_job_sources_carries_the_decision(tmp_path: Path, allowed: bool) -> None:
    script = tmp_path / "environment.sh"
    script.write_text(activation.render(activation.Activation("existing", python="/p", bin="/b", allow_old=allowed)))
    assert floors.are_allowed(str(script)) is allowed
    assert floors.are_allowed(str(tmp_path / "gone")) is False

"""A launch or a stop that is killed at any of its steps is made good by the next: one job, one record, nothing left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import TINY
from tests.session_site import Site
from tests.wheelhouse import ROOT


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Path(sys.executable))
    tiny = made.home / "tiny"
    tiny.write_text(TINY)
    tiny.chmod(0o755)
    Path(made.layout.environment_script).write_text(f"export HPC_JUPYTER_PYTHON={tiny}\n")
    yield made
    made.close()


@pytest.mark.rows("F35", "F48")
@pytest.mark.parametrize(("verb", "least_steps"), [("start", 30), ("stop", 6)])
def test_a_command_that_is_killed_at_any_step_is_made_good_by_the_next(site: Site, verb: str, least_steps: int) -> None:
    argv = [sys.executable, "-m", "tests.crashing", site.layout.root, verb]
    path = f"{ROOT}:{ROOT / '.build'}"
    walked = subprocess.run(
        argv, cwd=ROOT, env=site.environment({"PYTHONPATH": path}), stdout=subprocess.PIPE, timeout=280, check=True
    )
    told = json.loads(walked.stdout)
    assert told["problems"] == []
    assert told["steps"] >= least_steps

"""An account's directory with a real JupyterLab, for the tests that run jobs in it."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jupyter_env import jupyter_python
from tests.session_site import Site


@pytest.fixture(name="python", scope="session")
def _python() -> Path:
    return jupyter_python()


@pytest.fixture(name="site")
def _site(tmp_path: Path, python: Path) -> Iterator[Site]:
    made = Site(tmp_path, python)
    yield made
    made.close()
    assert not _left_over(made), "a directory was left on the node"


def _left_over(site: Site) -> list[str]:
    markers = glob.glob("/tmp/hpcj-*/session")
    return [path for path in markers if str(site.layout.root) in Path(path).read_text()]

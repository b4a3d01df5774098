"""A real browser on the laptop opens JupyterLab on a compute node and runs a cell there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from hpclab import Lab
from tests.chromium import SHOTS, chromium, run_cell
from tests.laptop import Laptop

CELL = "import socket; print('cell ran on', socket.gethostname())"


@pytest.fixture
def browser(lab: Lab, tmp_path: Path) -> Iterator[BrowserContext]:
    """Chromium on the laptop, as alice."""
    with chromium(lab, tmp_path) as context:
        yield context


def test_a_cell_runs_on_the_compute_node(alice: Laptop, lab: Lab, browser: BrowserContext) -> None:
    alice.set_up()
    with alice.connected("launch", alice.account) as url:
        assert url.startswith("file:///home/alice/.local/state/hpc-jupyter/")
        page = browser.new_page()
        page.goto(url)
        node = alice.record()["node"]
        try:
            run_cell(page, CELL)
            page.get_by_text(f"cell ran on {node}", exact=True).wait_for(timeout=60_000)
        finally:
            page.screenshot(path=SHOTS / "notebook-on-the-node.png")
        assert not page.get_by_text("official Jupyter news").is_visible()
        assert page.url.startswith("http://127.0.0.1:")
    assert node in ("c1", "c2")

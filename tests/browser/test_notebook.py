"""A real browser on the laptop opens JupyterLab on a compute node and runs a cell there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from hpclab import Lab
from tests.chromium import SHOTS, chromium, run_cell
from tests.laptop import Laptop

CELL = "import socket; print('cell ran on', socket.gethostname())"


@pytest.fixture
def browser(lab: Lab, tmp_path: Path) -> Iterator[BrowserContext]:
    """Chromium on the laptop, as alice."""
    with chromium(lab, tmp_path) as context:
        yield context


def _see_the_end_announced(page: Page) -> None:
    """The page's own notice, which can be closed."""
    notice = page.locator("#hpc-jupyter-notice")
    notice.wait_for(timeout=90_000)
    assert re.fullmatch(r"Save your work: the job ends at .+ \(in 2\d minutes\)\.", notice.locator("span").inner_text())
    page.screenshot(path=SHOTS / "notice-in-the-page.png")
    notice.get_by_role("button", name="Close this notice").click()
    notice.wait_for(state="detached", timeout=10_000)


@pytest.mark.rows("F9")
def test_a_cell_runs_on_the_compute_node(alice: Laptop, lab: Lab, browser: BrowserContext) -> None:
    alice.set_up()
    # Less time than the first warning is before the end: the page has something to say from the start.
    with alice.connected("launch", alice.account, "--time", "0:25:00") as url:
        assert url.startswith("file:///home/alice/.local/state/hpc-jupyter/")
        page = browser.new_page()
        page.goto(url)
        node = alice.record()["node"]
        try:
            run_cell(page, CELL)
            page.get_by_text(f"cell ran on {node}", exact=True).wait_for(timeout=60_000)
        finally:
            page.screenshot(path=SHOTS / "notebook-on-the-node.png")
        _see_the_end_announced(page)
        assert not page.get_by_text("official Jupyter news").is_visible()
        assert page.url.startswith("http://127.0.0.1:")
    assert node in ("c1", "c2")

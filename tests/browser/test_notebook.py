"""A real browser on the laptop opens JupyterLab on a compute node and runs a cell there."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from hpclab import Lab
from tests.laptop import ROOT, Laptop

SHOTS = ROOT / ".build" / "test-output"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
CELL = "import socket; print('cell ran on', socket.gethostname())"


@pytest.fixture
def browser(lab: Lab, tmp_path: Path) -> Iterator[BrowserContext]:
    """Chromium on the laptop, as alice, driven from here over inherited pipes."""
    program = tmp_path / "chromium"
    argv = lab.host("client").argv(["/usr/bin/chromium"], user="alice", interactive=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            "/tmp/chromium-of-alice", executable_path=program, args=FLAGS, viewport={"width": 1200, "height": 800}
        )
        yield context
        context.close()


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


def run_cell(page: Page, code: str) -> None:
    """A new notebook from the launcher, and one cell in it, once its kernel is there."""
    page.locator(".jp-LauncherCard[data-category='Notebook']").first.click(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click(timeout=60_000)
    page.keyboard.insert_text(code)
    cell.get_by_text("print").wait_for(timeout=10_000)
    page.keyboard.press("Shift+Enter")

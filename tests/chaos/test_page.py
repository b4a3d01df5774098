"""What a person sees in JupyterLab's page, in a real browser, when the way to the session breaks under a cell."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page

from hpclab import Lab
from tests.chromium import SHOTS, chromium, run_cell
from tests.healing import Holding
from tests.laptop import Laptop

LINES = 800
CUT_SECONDS = 15.0
"""The connection is made anew, and the session takes the one before for alive."""
END = "that was all"
CELL = f"""\
import time
for line in range({LINES + 1}): print(line if line < {LINES} else 'that' ' was all', flush=True); time.sleep(0.05)
"""


@pytest.mark.rows("F20", "F25")
def test_the_page_shows_all_output_once_and_in_order(alice: Laptop, lab: Lab, tmp_path: Path) -> None:
    held = Holding.launch(alice)
    with chromium(lab, tmp_path) as browser:
        page = browser.new_page()
        page.goto(str(held.told["url"]))
        run_cell(page, CELL)
        _wait_for(page, "20")
        lab.cut("client")
        time.sleep(CUT_SECONDS)
        lab.heal("client")
        held.until(held.answers)
        _wait_for(page, str(LINES // 2))
        held.kill(*held.ssh()[:1])
        _wait_for(page, END)
        shown = "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts()).splitlines()
        page.screenshot(path=SHOTS / "page-after-cuts.png")
    assert [line.strip() for line in shown if line.strip()] == [*map(str, range(LINES)), END]


def _wait_for(page: Page, line: str) -> None:
    """It is shown, or was: JupyterLab waits half a minute before it tries once more."""
    page.locator(".jp-OutputArea-output").get_by_text(line).first.wait_for(timeout=120_000)

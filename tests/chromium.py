"""A real browser on a lab's laptop, and what a person does in it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

from hpclab import Lab
from tests.laptop import ROOT

SHOTS = ROOT / ".build" / "test-output"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextlib.contextmanager
def chromium(lab: Lab, folder: Path) -> Iterator[BrowserContext]:
    """Chromium on the laptop, as alice, driven from here over inherited pipes; ``folder`` is for its starter."""
    program = folder / "chromium"
    argv = lab.host("client").argv(["/usr/bin/chromium"], user="alice", interactive=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            "/tmp/chromium-of-alice", executable_path=program, args=FLAGS, viewport={"width": 1200, "height": 800}
        )
        yield context
        context.close()


def run_cell(page: Page, code: str) -> None:
    """A new notebook from the launcher, and one cell in it, once its kernel is there."""
    page.locator(".jp-LauncherCard[data-category='Notebook']").first.click(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    cell = page.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click(timeout=60_000)
    page.keyboard.insert_text(code)
    cell.get_by_text("print").wait_for(timeout=10_000)
    page.keyboard.press("Shift+Enter")


def go_on(page: Page) -> None:
    """What a person does at the warning of an unknown certificate, once its fingerprint was compared."""
    page.locator("#details-button").click(timeout=60_000)
    page.locator("#proceed-link").click()

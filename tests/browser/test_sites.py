"""A real browser on the laptops of two sites, from an account that was never used to a cell that has run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

from hpclab import sites, topologies
from tests import chromium, site
from tests.laptop import Laptop

CELL = "import socket; print('cell ran on', socket.gethostname())"


@contextlib.contextmanager
def opened(topology: topologies.Topology, tmp_path: Path) -> Iterator[tuple[Laptop, Page]]:
    """The page that `launch` has the browser open, and whose it is."""
    with contextlib.ExitStack() as stack:
        person = stack.enter_context(site.up(topology)).person
        browser = stack.enter_context(chromium.chromium(person.lab, tmp_path))
        url = stack.enter_context(person.connected("launch", person.account))
        page = browser.new_page()
        page.goto(url)
        yield person, page


def see_a_cell_run(page: Page, node: str, *, shot: str) -> None:
    try:
        chromium.run_cell(page, CELL)
        page.get_by_text(f"cell ran on {node}", exact=True).wait_for(timeout=60_000)
    finally:
        page.screenshot(path=chromium.SHOTS / f"{shot}.png")


def test_https_on_a_login_host_behind_a_gateway(tmp_path: Path) -> None:
    with opened(sites.HYDRA, tmp_path) as (_person, page):
        chromium.go_on(page)
        see_a_cell_run(page, "hydra08i.example.org", shot="hydra")
        assert page.url.startswith("https://127.0.0.1:")


def test_two_unix_sockets_behind_a_proxy_server(tmp_path: Path) -> None:
    with opened(sites.HOPPING, tmp_path) as (person, page):
        record = person.record()
        see_a_cell_run(page, record["node"], shot="hopping")
        assert record["offer"] == "reverse"
        assert page.url.startswith("http://127.0.0.1:")

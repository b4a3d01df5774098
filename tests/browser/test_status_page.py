"""The page of ``status --html``, as a real browser shows it on a phone and on a desk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.record import timestamp
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe, local_time
from playwright.sync_api import Browser, Page, sync_playwright

from hpc_jupyter import status_page
from hpc_jupyter.results import AccountStatus, Holding, Status
from tests.chromium import FLAGS, SHOTS

PHONE, DESK = 360, 1200
ACCOUNT, SESSION = "alice.long-name@cluster-of-chemistry", "a-name-of-32-letters-as-a-name-is"


SILENT = "login host login.example.org: its ED25519 host key SHA256:" + "A" * 43


def _in(**later: int) -> str:
    return timestamp((datetime.now(UTC) + timedelta(seconds=50, **later)).timestamp())


@pytest.fixture
def ready() -> dict[str, Any]:
    """A session of which everything is known."""
    return {
        "session": SESSION, "state": "ready", "job_id": "48211", "node": "nid00417.cluster.example.org",
        "ends_at": _in(hours=2), "idle_since": _in(minutes=-20), "idle_ends_at": _in(hours=1),
        "routes": ["node", "step"],
    }  # fmt: skip


@pytest.fixture
def queued() -> dict[str, Any]:
    """A session that waits."""
    return {"session": "b", "state": "queued", "job_id": "48212", "reason": "Priority", "starts_at": _in(hours=3)}


_NAMED = """[...document.querySelectorAll('tbody tr')].map(row => [...row.cells].filter(cell => cell.offsetHeight).map(
    cell => getComputedStyle(cell, '::before').content.replace('none', '').replaceAll('"', '') + cell.textContent))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Without a lab: the page is a file."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser, ready: dict[str, Any], queued: dict[str, Any], width: int) -> Page:
    """Both of them in a window that is ``width`` wide, and an account that is silent."""
    held = Holding(SESSION, 20431, 12, up=True, route="step")
    rows = (AccountStatus(ACCOUNT, (ready, queued), (held,)), AccountStatus("bob@cori", problem=SILENT))
    page = browser.new_page(viewport={"width": width, "height": 780}, is_mobile=width == PHONE)
    page.set_content(status_page.render(Status(rows)))
    page.screenshot(path=SHOTS / f"status-{width}.png", full_page=True)
    return page


@pytest.mark.parametrize("width", [PHONE])
def test_a_phone_shows_each_value_under_the_other_with_its_name(
    page: Page, ready: dict[str, Any], queued: dict[str, Any]
) -> None:
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [PHONE, PHONE]
    assert page.evaluate(_NAMED) == [
        [ACCOUNT, f"Session: {SESSION}", "ready", describe(ready), "Node: nid00417.cluster.example.org",
         "Time left: 2 h", f"Not used since: {local_time(ready['idle_since'])}", "Route: connected by step"],
        [ACCOUNT, "Session: b", "queued", describe(queued), f"Starts: {local_time(queued['starts_at'])}"],
        ["bob@cori", "no answer", SILENT],
    ]
    boxes = [box for box in (cell.bounding_box() for cell in page.locator("td:not(:empty)").all()) if box]
    assert all(above["y"] + above["height"] <= below["y"] for above, below in itertools.pairwise(boxes))


@pytest.mark.parametrize("width", [DESK])
def test_a_desk_shows_a_table(page: Page, ready: dict[str, Any]) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") == DESK
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("tr").all()]
    assert rows[0] == ["Account", "Session", "State", "", "Node", "Starts", "Time left", "Not used since", "Route"]
    assert rows[1] == [
        ACCOUNT, SESSION, "ready", describe(ready), "nid00417.cluster.example.org", "", "2 h",
        local_time(ready["idle_since"]), "connected by step",
    ]  # fmt: skip
    boxes = [box for box in (cell.bounding_box() for cell in page.locator("tbody tr").first.locator("td").all()) if box]
    assert all(left["x"] + left["width"] <= right["x"] for left, right in itertools.pairwise(boxes))

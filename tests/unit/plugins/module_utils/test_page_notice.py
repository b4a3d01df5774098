# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import page, page_notice
from ansible_collections.hpc.jupyter.plugins.module_utils.page_notice import Use

_TIMES = {"ends_at": 2000.0, "idle_seconds": 3600, "warn_minutes": [60, 30, 5]}
_TAG = b'<script src="/x/hpc-jupyter/notice.js"></script>'


def test_times_are_told_as_seconds_from_now() -> None:
    told = page_notice.answer(_TIMES, used_at=900.0, busy=False, now=1000.0)
    assert told == {
        "ends_in": 1000.0, "warn_minutes": [60, 30, 5], "used_ago": 100.0, "idle_seconds": 3600, "idle_in": 3500.0,
        "idle_warn_minutes": [30, 5],
    }


def test_a_kernel_at_work_is_use() -> None:
    told = page_notice.answer(_TIMES, used_at=900.0, busy=True, now=1000.0)
    assert (told["used_ago"], told["idle_in"]) == (0.0, None)


def test_what_is_not_known_or_not_wanted_is_null() -> None:
    told = page_notice.answer({}, used_at=900.0, busy=False, now=1000.0)
    assert (told["ends_in"], told["idle_in"], told["warn_minutes"]) == (None, None, [])


@pytest.mark.parametrize(("body", "expected"), [
    (b"<head><title>a</title></head><body></body>", b"<head><title>a</title>" + _TAG + b"</head><body></body>"),
    (b"<body>a</body>", b"<body>a" + _TAG + b"</body>"),
    (b"plain", b"plain"),
    (b"", b""),
])
def test_the_script_is_added_to_a_page(body: bytes, expected: bytes) -> None:
    assert page_notice.with_script(body, "/x/hpc-jupyter/notice.js") == expected


@pytest.mark.parametrize(("path", "first"), [
    ("/x/lab", "lab"), ("/x/lab/tree/a.ipynb", "lab"), ("/x/", ""), ("/other/lab", ""), ("/x/proxy/80/", "proxy"),
])
def test_the_first_part_of_a_path_is_below_the_base_url(path: str, first: str) -> None:
    assert page_notice.first_part(path, "/x/") == first


def _server(settings: dict[str, Any] | None = None, kernels: dt.datetime | None = None) -> Any:
    manager = SimpleNamespace(last_kernel_activity=kernels)
    return SimpleNamespace(web_app=SimpleNamespace(settings=settings or {}), kernel_manager=manager)


@pytest.mark.parametrize(("method", "first", "status", "counts"), [
    ("GET", "api", 200, False),  # an open page asks every few seconds
    ("GET", "lab", 200, False),
    ("PUT", "lab", 204, False),  # JupyterLab's layout, every ten seconds
    ("POST", "login", 302, False),
    ("PUT", "api", 200, True),
    ("POST", "api", 201, True),
    ("POST", "api", 403, False),
    ("DELETE", "api", 204, True),
    ("GET", "proxy", 200, True),
    ("GET", "proxy", 302, False),
])
def test_what_counts_as_use(method: str, first: str, status: int, counts: bool) -> None:
    use = Use(_server())
    use._touched = 0.0
    use.note(method=method, first=first, status=status)
    assert (use.last() > 0) is counts


@pytest.mark.parametrize(("first", "referer", "counts"), [
    ("git", "http://localhost:8888/x/lab/tree/a.ipynb?reset", False),  # jupyterlab-git, every few seconds
    ("dask", "http://localhost:8888/x/lab", False),
    ("api", "http://localhost:8888/x/lab", True),
    ("rstudio", "http://localhost:8888/x/rstudio/", True),
    ("proxy", "http://localhost:8888/lab", True),
    ("proxy", "http://[", True),
])
def test_an_extension_s_own_questions_are_no_use(first: str, referer: str, counts: bool) -> None:
    use = Use(_server())
    use._touched = 0.0
    use.note(method="POST", first=first, status=200, page=page_notice.page_of(referer, "/x/"))
    assert (use.last() > 0) is counts


def test_kernels_terminals_and_extensions_are_asked_too() -> None:
    moments = [dt.datetime(2030, 1, day, tzinfo=dt.timezone.utc) for day in (1, 2, 3)]
    use = Use(_server({"terminal_last_activity": moments[1], "last_activity_times": {"a": moments[0]}}, moments[2]))
    assert use.last() == moments[2].timestamp()
    assert Use(_server({"terminal_last_activity": moments[1]})).last() == moments[1].timestamp()


def test_a_touch_in_the_past_takes_nothing_back() -> None:
    use = Use(_server())
    before = use.last()
    use.touch(100.0)
    assert use.last() == before


def test_what_is_installed_is_private_and_whole(tmp_path: Path) -> None:
    page.install(str(tmp_path))
    page.write_times(str(tmp_path), ends_at=5.0, idle_seconds=7, warn_minutes=(10, 5))
    place = tmp_path / page.MODULE
    told = json.loads((place / "times.json").read_text())
    assert told == {"ends_at": 5.0, "idle_seconds": 7, "warn_minutes": [10, 5]}
    for module in ("hpc_jupyter_notice", "hpc_jupyter_outbox"):
        compile((place / f"{module}.py").read_text(), module, "exec")
    assert (place / "notice.js").read_text().strip().endswith("})();")
    modes = {oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert modes == {"0o700", "0o600"}

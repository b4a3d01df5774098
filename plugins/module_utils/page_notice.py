# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a session that runs inside Jupyter: a server extension that says how long the session lasts.

The supervisor puts a copy of this file, alone, on the node (see ``page.py``), beside ``notice.js`` and ``times.json``.
It adds the script to Jupyter's own pages, JupyterLab's and the notebooks' alike, and answers it. It also knows what
counts as use: what a person or their program does, and not an open page that asks every few seconds what is new.

Standard library, Tornado and Jupyter Server 2 only; the latter two are imported when Jupyter loads the extension.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import os
import time
import urllib.parse
from typing import Any

PATH = "hpc-jupyter/notice"
USED_HEADER = "X-Hpc-Jupyter-Used"
"""How many seconds ago somebody did something on the page. No other site's page can send it without being asked."""
_PAGES = ("lab", "doc", "tree", "notebooks", "edit", "consoles", "terminals", "nbclassic")
_OWN = (*_PAGES, "", "api", "custom", "favicon.ico", "files", "hpc-jupyter", "kernelspecs", "login", "logout", "lsp",
        "mathjax", "metrics", "nbconvert", "nbextensions", "services", "static", "view", "files-imports")
"""What Jupyter itself answers; everything else is a program of the person's behind it."""
_LONGEST_SECONDS = 3600.0


class Use:
    """When the session was used last, as seconds since the epoch."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._touched = time.time()

    def touch(self, seconds_ago: float = 0.0) -> None:
        """Somebody did something."""
        self._touched = max(self._touched, time.time() - seconds_ago)

    def note(self, *, method: str, first: str, status: int, page: str = "") -> None:
        """Take a request in: what changes files or kernels counts, and every request to a program behind Jupyter.

        JupyterLab saves its layout every few seconds, below ``lab/api``, also when nobody is there; extensions ask for
        what is new, at paths of their own. So of what comes from Jupyter's own ``page`` only changes count.
        """
        changes = first == "api" and method not in ("GET", "HEAD", "OPTIONS")
        if 200 <= status < 300 and (changes or (first not in _OWN and page not in _PAGES)):
            self.touch()

    def last(self) -> float:
        """When it was: by requests, kernels and terminals, and what other extensions tell."""
        settings = self._server.web_app.settings
        times = [
            getattr(self._server.kernel_manager, "last_kernel_activity", None),
            settings.get("terminal_last_activity"),
            *settings.get("last_activity_times", {}).values(),
        ]
        return max([self._touched, *(at.timestamp() for at in times if isinstance(at, dt.datetime))])


def answer(times: dict[str, Any], *, used_at: float, busy: bool, now: float) -> dict[str, Any]:
    """What the page and the supervisor are told, in seconds from now: clocks of two machines may differ.

    ``ends_in`` is null where the end of the job is not known, ``idle_in`` where nothing ends the session for idleness
    or a kernel is at work.
    """
    idle_seconds = times.get("idle_seconds") or 0
    minutes = [each for each in times.get("warn_minutes", []) if isinstance(each, int)]
    return {
        "ends_in": times["ends_at"] - now if times.get("ends_at") else None,
        "warn_minutes": minutes,
        "used_ago": 0.0 if busy else max(0.0, now - used_at),
        "idle_seconds": idle_seconds,
        "idle_in": idle_seconds - max(0.0, now - used_at) if idle_seconds and not busy else None,
        "idle_warn_minutes": [each for each in minutes if each * 120 <= idle_seconds],
    }


def with_script(body: bytes, source: str) -> bytes:
    """A page with the script; one that has no end of its head or body is left as it is."""
    tag = f'<script src="{source}"></script>'.encode("ascii")  # at once: before the page's own, which are deferred
    for end in (b"</head>", b"</body>"):
        before, found, after = body.partition(end)
        if found:
            return before + tag + found + after
    return body


def first_part(path: str, base_url: str) -> str:
    """The first part of a path below the base URL."""
    below = path[len(base_url):] if path.startswith(base_url) else ""
    return below.split("/", 1)[0]


def page_of(referer: str, base_url: str) -> str:
    """The first part of the path of the page that a request says it comes from; empty where it does not say."""
    try:
        return first_part(urllib.parse.urlsplit(referer).path, base_url)
    except ValueError:
        return ""


def _load_jupyter_server_extension(server: Any) -> None:
    """Called by Jupyter Server; what is raised here it logs, and goes on."""
    use, base_url, app = Use(server), server.base_url, server.web_app
    notice, script = _handlers(server, use)
    app.add_handlers(".*$", [(f"{base_url}{PATH}", notice), (f"{base_url}{PATH}.js", script)])
    app.add_transform(_transform(use, base_url))


def _transform(use: Use, base_url: str) -> Any:
    web: Any = importlib.import_module("tornado.web")

    class Transform(web.OutputTransform):  # type: ignore[misc]
        """Sees every answer: notes what was done, and adds the script to a page that comes whole."""

        def __init__(self, request: Any) -> None:
            self._method = request.method
            self._first = first_part(request.path, base_url)
            self._page = page_of(request.headers.get("Referer", ""), base_url)

        def transform_first_chunk(self, status_code: int, headers: Any, chunk: bytes, finishing: bool) -> Any:
            use.note(method=self._method, first=self._first, status=status_code, page=self._page)
            if finishing and status_code == 200 and self._first in _PAGES and _is_page(headers):
                chunk = with_script(chunk, f"{base_url}{PATH}.js")
                if "Content-Length" in headers:
                    headers["Content-Length"] = str(len(chunk))
            return status_code, headers, chunk

    return Transform


def _is_page(headers: Any) -> bool:
    """A page of Jupyter's; what a person's files show runs in a sandbox and is left alone."""
    html = headers.get("Content-Type", "").startswith("text/html") and "Content-Encoding" not in headers
    return html and "sandbox" not in headers.get("Content-Security-Policy", "")


def _handlers(server: Any, use: Use) -> tuple[Any, Any]:
    web: Any = importlib.import_module("tornado.web")
    base: Any = importlib.import_module("jupyter_server.base.handlers")

    class Notice(base.APIHandler):  # type: ignore[misc]
        """How long the session lasts. Asking does not count as use."""

        _track_activity = False

        @web.authenticated  # type: ignore[untyped-decorator]
        async def get(self) -> None:
            ago = self.request.headers.get(USED_HEADER, "")
            if ago.isascii() and ago.isdigit() and float(ago) < _LONGEST_SECONDS:
                use.touch(float(ago))
            busy = await _is_busy(server.kernel_manager)
            self.set_header("Cache-Control", "no-store")
            self.finish(json.dumps(answer(_times(), used_at=use.last(), busy=busy, now=time.time())))

    class Script(base.APIHandler):  # type: ignore[misc]
        """The page's part."""

        _track_activity = False

        @web.authenticated  # type: ignore[untyped-decorator]
        async def get(self) -> None:
            with open(_beside("notice.js"), "rb") as stream:
                self.finish(stream.read(), set_content_type="application/javascript; charset=utf-8")

    return Notice, Script


async def _is_busy(manager: Any) -> bool:
    """Whether a kernel is at work."""
    listed = manager.list_kernels()
    kernels = await listed if hasattr(listed, "__await__") else listed
    return any(kernel.get("execution_state") == "busy" for kernel in kernels)


def _times() -> dict[str, Any]:
    """What the supervisor has written down; it replaces the file as a whole."""
    with open(_beside("times.json"), "rb") as stream:
        times: dict[str, Any] = json.loads(stream.read().decode("utf-8"))
    return times


def _beside(name: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), name)

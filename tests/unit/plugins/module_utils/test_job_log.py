# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines are those of Jupyter Server 2.21."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import job_log

HEAD = "2026-11-21 16:25:00.095 ServerApp]"
STARTS = [
    f"[I {HEAD} Jupyter Server 2.21.1 is running at:",
    f"[I {HEAD} http+unix://%2Ftmp%2Fhpcj-fv7wudro%2Fs/d4a553a10f4816ac/lab?token=...",
    f"[I {HEAD}     http://127.0.0.1:8888/d4a553a10f4816ac/lab?token=...",
    f"[I {HEAD} Use Control-C to stop this server and shut down all kernels (twice to skip confirmation).",
]
REFUSED = [
    f"[W {HEAD} wrote error: 'Forbidden'",
    f"[W {HEAD} 403 GET /d4a553a10f4816ac/api/status (@0.0.0.0) 15.97ms referer=None",
    f"[W {HEAD} Blocking request with non-local 'Host' elsewhere.invalid (elsewhere.invalid).",
]
WARNED = [
    "/e/jupyter_lsp/handlers.py:145: JupyterServerAuthWarning: Extension endpoints without @allow_unauthenticated:",
    "- GET of LanguageServerWebSocketHandler registered for /d4a553a10f4816ac/lsp/ws/(?P<language_server>.*)",
    "  nbapp.web_app.add_handlers(",
]
READY = "hpc-jupyter: session default is ready on c1"
RESTARTED = "hpc-jupyter: asked for restart: done"
KERNEL = f"[I {HEAD} Kernel started: 0a"
CRASH = "RuntimeError: no licence"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([KERNEL, *WARNED, KERNEL], [KERNEL, KERNEL]),
        ([*STARTS, *REFUSED, READY], [READY]),
        ([REFUSED[2], READY, KERNEL], [READY, KERNEL]),
        ([*STARTS, *REFUSED, READY, *REFUSED, KERNEL], [READY, *REFUSED, KERNEL]),
        ([READY, REFUSED[1], *STARTS, *REFUSED, RESTARTED], [READY, REFUSED[1], RESTARTED]),
        ([READY, REFUSED[1], RESTARTED], [READY, REFUSED[1], RESTARTED]),
        ([*STARTS, REFUSED[1], CRASH], [REFUSED[1], CRASH]),
        (["my module is loaded", WARNED[2], "- GET of"], ["my module is loaded", WARNED[2], "- GET of"]),
    ],
)
def test_what_our_own_checks_cause_is_left_out_and_nothing_else(lines: list[str], told: list[str]) -> None:
    assert job_log.told(lines) == told


def test_the_end_is_as_long_as_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("\n".join([*STARTS, *REFUSED, READY, "a", "b"]) + "\n")
    assert job_log.tail(str(log), lines=3) == [READY, "a", "b"]
    assert job_log.tail(str(log), lines=0) == []
    assert job_log.tail(str(tmp_path / "none"), lines=3) == []

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts what a session adds to Jupyter where that takes it from: the session's own directory on the node.

It warns inside the notebook page, and keeps what the page has not got. Jupyter finds the extensions by a configuration
of the session's, which puts that directory on its own path: kernels and what a person installs see nothing of it.
"""

from __future__ import annotations

import json
import os
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import archive, page_notice, page_outbox, page_script
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private

MODULE = "hpc_jupyter_notice"
_MODULES = {MODULE: page_notice, "hpc_jupyter_outbox": page_outbox}
_CONFIG = f"""\
import os, sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), {MODULE!r}))
"""


def install(config: str) -> None:
    """Write it below ``config``, a directory of ``JUPYTER_CONFIG_PATH``."""
    place = os.path.join(config, MODULE)
    enabled = os.path.join(config, "jupyter_server_config.d")
    for directory in (place, enabled):
        os.mkdir(directory, 0o700)
    for name, module in _MODULES.items():
        write_private(os.path.join(place, f"{name}.py"), archive.source(module.__name__))
    write_private(os.path.join(place, "notice.js"), page_script.SCRIPT.encode())
    write_private(os.path.join(config, "jupyter_server_config.py"), _CONFIG.encode())
    wanted = {"ServerApp": {"jpserver_extensions": dict.fromkeys(_MODULES, True)}}
    write_private(os.path.join(enabled, f"{MODULE}.json"), json.dumps(wanted).encode())


def write_times(config: str, *, ends_at: float, idle_seconds: int, warn_minutes: Sequence[int]) -> None:
    """Tell the page: the end of the job in seconds since the epoch, 0 if not known, and what else it needs."""
    times = {"ends_at": ends_at, "idle_seconds": idle_seconds, "warn_minutes": list(warn_minutes)}
    write_private(os.path.join(config, MODULE, "times.json"), json.dumps(times).encode())

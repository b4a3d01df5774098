# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session's job is called: the key under which it is found again, of one account directory alone."""

from __future__ import annotations

import hashlib
import os

PREFIX = "hpc-jupyter-"


def job_name(session: str, root: str) -> str:
    """The name of the job of ``session``, of the account directory ``root``."""
    return f"{PREFIX}{session}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:6]}"


def session_of(name: str, root: str) -> str:
    """The session whose job is called ``name``; empty if it is no job of the account directory ``root``."""
    suffix = job_name("", root)[len(PREFIX):]
    ours = name.startswith(PREFIX) and name.endswith(suffix)
    return name[len(PREFIX):-len(suffix)] if ours else ""

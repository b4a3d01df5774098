# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a session may go unused: what a person asks for, within what the cluster's admin allows."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.request import check_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.words import duration

DEFAULT_SECONDS = 14400
LIMIT_SECONDS = 86400
"""What holds where nobody has said anything: longer than a meeting, and no allocation is kept for a second day."""
VARIABLE = "jupyter_session_idle_seconds"
LIMIT = "jupyter_session_idle_limit_seconds"


def allowed(asked: object, *, limit: object = LIMIT_SECONDS, local: bool = False, name: str = VARIABLE) -> int:
    """The seconds without use after which a session ends, 0 for never; raises ``BadInput``.

    Nothing ``asked`` for is the usual time. A ``limit`` of 0 allows everything. On a person's own machine, ``local``,
    nobody waits for what a session keeps, so there is neither a limit nor an end unless it is asked for.
    """
    most = 0 if local else check_seconds(LIMIT_SECONDS if limit in ("", None) else limit, name=LIMIT)
    if asked in ("", None):
        usual = 0 if local else DEFAULT_SECONDS
        return min(usual, most) if most else usual
    wanted = check_seconds(asked, name=name)
    if most and not 0 < wanted <= most:
        what = str(wanted) if wanted else "0, which is never,"
        raise BadInput(name, f"{what} is not allowed here", hint=f"Write 1 to {most} seconds ({duration(most)})")
    return wanted


def seconds(asked: object, limit: object = LIMIT_SECONDS, *, local: bool = False) -> int:
    """What is asked for, or the usual time."""
    return allowed(asked, limit=limit, local=local)

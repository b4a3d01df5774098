# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, one class per way a caller has to react."""

from __future__ import annotations

_LONGEST = 800
"""Characters of a problem that are shown in full."""


class HpcJupyterError(Exception):
    """An error whose text is meant for the user: what failed, where, and what to do."""


class BadInput(HpcJupyterError):
    """A value was refused before anything was contacted or changed."""

    def __init__(self, field: str, problem: str, *, hint: str = "") -> None:
        self.field = field
        super().__init__(f"{field}: {_shortened(problem)}" + (f". {hint}" if hint else ""))

    def at(self, where: str) -> BadInput:
        """The same, with ``where`` the value was written, as ``FILE:LINE``, before it."""
        found = BadInput(self.field, "")
        found.args = (f"{where}: {self}" if where else str(self),)
        return found


class RecordError(HpcJupyterError):
    """A record exists but cannot be used: newer schema, foreign owner."""


class SchedulerUnavailable(HpcJupyterError):
    """The scheduler could not be asked; nothing is known about the job."""


class SubmitRefused(HpcJupyterError):
    """The scheduler refused the job, in its own words; there is no job."""


class SubmitUnclear(HpcJupyterError):
    """The submit neither succeeded nor failed for certain; the job may exist."""


class Busy(HpcJupyterError):
    """Another process is changing the same session right now."""


class NotSetUp(HpcJupyterError):
    """The account lacks what the roles install."""


def _shortened(problem: str) -> str:
    """Without the middle of a value that would fill the screen."""
    return problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST // 2]}…{problem[-_LONGEST // 4:]}"

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of one play log in at the same time: whom a host turns away, since they are too many, comes again."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""About so many seconds later each time."""


def attempts() -> Iterator[bool]:
    """One after the other, each with whether it is the last; those who come again do not come together."""
    for seconds in PAUSES:
        yield False
        time.sleep(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    yield True

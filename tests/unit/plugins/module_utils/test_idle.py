# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import idle
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput


@pytest.mark.parametrize(("asked", "limit", "local", "seconds"), [
    ("", 86400, False, 14400),
    (None, None, False, 14400),
    ("", 3600, False, 3600),  # the usual time is within the limit too
    ("", 0, False, 14400),
    ("", 86400, True, 0),
    ("7200", "86400", False, 7200),
    (86400, 86400, False, 86400),
    (0, 0, False, 0),
    (999999, 0, False, 999999),
    (999999, 3600, True, 999999),
])
def test_what_is_asked_for_within_what_is_allowed(asked: object, limit: object, local: bool, seconds: int) -> None:
    assert idle.seconds(asked, limit, local=local) == seconds


@pytest.mark.parametrize(("asked", "limit", "words"), [
    (7201, 7200, "jupyter_session_idle_seconds: 7201 is not allowed here. Write 1 to 7200 seconds (2 h)"),
    ("0", 3600, "jupyter_session_idle_seconds: 0, which is never, is not allowed here. Write 1 to 3600 seconds (1 h)"),
    ("soon", 0, "jupyter_session_idle_seconds: 'soon' is not allowed. Write a number of seconds"),
    (-1, 0, "jupyter_session_idle_seconds: '-1' is not allowed. Write a number of seconds"),
    ("", "much", "jupyter_session_idle_limit_seconds: 'much' is not allowed. Write a number of seconds"),
])
def test_what_is_not_allowed_is_refused_with_what_is(asked: object, limit: object, words: str) -> None:
    with pytest.raises(BadInput) as told:
        idle.seconds(asked, limit)
    assert str(told.value) == words

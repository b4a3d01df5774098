"""What a play's failure becomes: the module's own words, and the exit code that its kind stands for."""

from __future__ import annotations

from typing import Any

import pytest

from hpc_jupyter.errors import Failure, Unreachable
from hpc_jupyter.events import HostResult, PlayResult
from hpc_jupyter.exits import Exit
from hpc_jupyter.watch import check

SEEN = {"session": "default", "state": "queued"}


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ({"kind": "bad_input"}, Exit.BAD_INPUT),
        ({"kind": "busy"}, Exit.BUSY),
        ({"kind": "not_set_up"}, Exit.FAILED),
        ({"kind": "unavailable"}, Exit.FAILED),
        ({"kind": "unavailable", "session": SEEN}, Exit.WAITING),
        ({"kind": "refused"}, Exit.SESSION_FAILED),
        ({"kind": "failed", "session": SEEN}, Exit.SESSION_FAILED),
        ({"kind": "error", "session": SEEN}, Exit.FAILED),
        ({"kind": ""}, Exit.FAILED),
        ({"kind": "", "failed_action": "hpc.jupyter.session"}, Exit.FAILED),
    ],
)
def test_a_failure_keeps_its_kind(host: dict[str, Any], code: Exit) -> None:
    failed = HostResult("here", failed=True, message="why", log_tail=("x", "why"), **host)
    with pytest.raises(Failure) as told:
        check(PlayResult(succeeded=False, hosts={"here": failed}, message="why"), "here")
    assert (told.value.code, str(told.value), told.value.detail) == (code, "why", ("The last lines of its log:", "x"))


def test_an_account_that_was_not_reached_says_so() -> None:
    failed = HostResult("here", failed=True, unreachable=True, message="why")
    with pytest.raises(Unreachable):
        check(PlayResult(succeeded=False, hosts={"here": failed}, message="why"), "here")

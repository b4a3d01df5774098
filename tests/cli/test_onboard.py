"""``hpc-jupyter onboard``, which an account's owner runs, as far as it is told without a cluster."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hpc_jupyter.commands import onboard
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Unreachable
from hpc_jupyter.events import HostResult
from hpc_jupyter.progress import Plain


def _owner(monkeypatch: pytest.MonkeyPatch, result: HostResult) -> tuple[Context, list[str], io.StringIO]:
    """The owner of an account for whom the play ends in ``result``; what was done, and what was said."""
    done, said = list[str](), io.StringIO()

    def play(_context: Context, playbook: str, *_: Any, **__: Any) -> HostResult:
        done.append(playbook)
        return result

    context = Context(inventory=("lab.accounts.yml",))
    vars(context)["progress"] = Plain(said)
    monkeypatch.setattr(Context, "access", lambda _self, name: done.append(name))
    monkeypatch.setattr(onboard, "play", play)
    return context, done, said


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (True, "bob@cori is set up. Next: hpc-jupyter -i lab.accounts.yml launch bob@cori"),
        (False, "bob@cori was set up already; nothing was changed. Next: hpc-jupyter -i lab.accounts.yml launch "
                "bob@cori"),
    ],
)  # fmt: skip
def test_it_logs_in_first_and_says_what_still_asks(monkeypatch: pytest.MonkeyPatch, changed: bool, text: str) -> None:
    told = {"asking": ["gateway gate"], "notes": ["a note"]}
    context, done, said = _owner(monkeypatch, HostResult("bob@cori", changed=changed, told=told))
    assert onboard.run(context, "bob@cori", {}).text == text
    assert done == ["bob@cori", "hpc.jupyter.onboard"]
    assert said.getvalue().splitlines()[-2:] == ["The gateway gate still asks for a password", "a note"]


def test_to_its_owner_an_account_that_cannot_be_entered_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    context, *_ = _owner(monkeypatch, HostResult("bob@cori", failed=True, message="bob was not let in"))
    with pytest.raises(Unreachable, match="bob was not let in"):
        onboard.run(context, "bob@cori", {})

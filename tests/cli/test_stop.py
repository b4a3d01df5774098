"""``stop --all`` reaches every account where a job may be, also one that nobody has ever connected to."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

from hpc_jupyter import options
from hpc_jupyter.commands import launch, launching, stop
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Detached
from hpc_jupyter.events import HostResult
from hpc_jupyter.exits import Exit
from tests.cli.conftest import World


@pytest.fixture
def context(world: World, monkeypatch: pytest.MonkeyPatch) -> Context:
    """An inventory with the world's account, set up and without a session."""
    world.answer({"error": "there is no session default"}, code=Exit.NO_SESSION)
    (world.home / "root" / "account.json").write_text(json.dumps({"version": VERSION}))
    account = SimpleNamespace(cluster=world.cluster, facts={}, origins={}, goes_anyway=False)
    monkeypatch.setattr(Context, "account", lambda _self, _name: account)
    monkeypatch.setattr(Context, "accounts", SimpleNamespace(accounts={"me@lab": account}, sources=("hosts.yml",)))
    monkeypatch.setattr(Context, "access", lambda _self, _name: world.access)
    monkeypatch.setattr("hpc_jupyter.access.Access.to", lambda _cluster: world.access)
    return Context()


def test_a_launch_that_was_left_while_its_job_waits_is_known(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: Any, **__: Any) -> None:
        raise Detached("interrupted; job 17 stays")

    asked: list[str] = []

    def answer(_context: Context, _playbook: str, name: str, _variables: object) -> HostResult:
        asked.append(name)
        return HostResult(name, told={"stopped": ["default"]})

    monkeypatch.setattr(launching, "finish", leave)
    monkeypatch.setattr(stop, "play", answer)
    assert stop.run_all(context, "", yes=True).lines() == ["This computer has used no account yet"]
    with pytest.raises(Detached):
        launch.run(context, "me@lab", options.launch({"session": "default"}))
    assert stop.run_all(context, "", yes=True).lines() == ["Stopped default of me@lab"]
    assert asked == ["me@lab"]

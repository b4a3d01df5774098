"""A site's JupyterHub is the better way to a new session, never in the way of one that there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc_jupyter import options
from hpc_jupyter.account import Account, Inventory, is_true
from hpc_jupyter.commands.launching import _prefer_hub
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Failure, exit_code
from hpc_jupyter.exits import Exit
from tests.cli.test_command import run

HOSTS = """\
all:
  hosts:
    local: {ansible_connection: local, hpc_jupyterhub_url: "https://hub.example.org/"}
"""


def wanted(**values: object) -> options.Launch:
    return options.launch({"session": "default", **values})


def context(**more: object) -> Context:
    facts = {"hpc_scheduler": "slurm", "hpc_login_hosts": ["x"], "hpc_jupyterhub_url": "https://hub.example.org/"}
    made = Context(inventory=("hosts.yml",))
    accounts = {"alice@lab": Account("alice@lab", {**facts, **more})}
    vars(made)["accounts"] = Inventory(("hosts.yml",), accounts)
    return made


def test_a_new_session_is_refused_with_the_hubs_address() -> None:
    with pytest.raises(Failure) as told:
        _prefer_hub(context(), "alice@lab", wanted())
    assert exit_code(told.value) == Exit.BAD_INPUT
    assert str(told.value) == (
        "lab has a JupyterHub, which is the better way: https://hub.example.org/\n"
        "To launch a session here anyway: hpc-jupyter -i hosts.yml launch alice@lab --anyway "
        "(or jupyter_session_anyway: true in the inventory)"
    )


@pytest.mark.parametrize(
    ("more", "values"),
    [({}, {"anyway": True}), ({"jupyter_session_anyway": True}, {}), ({"jupyter_session_anyway": "yes"}, {})],
)
def test_whoever_says_so_goes_on(more: dict[str, object], values: dict[str, object]) -> None:
    _prefer_hub(context(**more), "alice@lab", wanted(**values))


def test_the_command_line_wins_over_the_inventory() -> None:
    said = options.launch({"session": "default"}, extra_variables=["jupyter_session_anyway=false"])
    with pytest.raises(Failure):
        _prefer_hub(context(jupyter_session_anyway=True), "alice@lab", said)


def test_nothing_is_set_up_before_the_hub_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    done = run(environment, "launch", "local")
    assert done.returncode == 2
    assert "hpc-jupyter: local has a JupyterHub, which is the better way: https://hub.example.org/\n" in done.stderr
    assert not (tmp_path / ".local").exists()


@pytest.mark.parametrize(
    ("value", "is_it"), [("yes", True), (True, True), ("False", False), (None, False), ("", False)]
)
def test_truth_as_people_write_it(value: object, is_it: bool) -> None:
    assert is_true(value) is is_it

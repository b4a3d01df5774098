"""The inventory that the project ships: `local` as it is, and one example a shape of cluster, to be copied."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from tests.cli.test_command import run
from tests.machine import ROOT

INVENTORY = ROOT / "inventory"
EXAMPLES = {path.stem: path for path in sorted((INVENTORY / "group_vars").glob("*.yml"))}
ROUTES = {"cori": "lan", "dice": "auto", "gpulab": "node", "hopping": "reverse", "hydra": "auto", "sealed": "step"}


def role_variables() -> set[str]:
    """What the roles take."""
    specs = [yaml.safe_load(path.read_text()) for path in ROOT.glob("roles/*/meta/argument_specs.yml")]
    return {name for spec in specs for point in spec["argument_specs"].values() for name in point["options"]}


def test_as_it_is_it_has_this_machine_and_a_group_for_every_example(environment: dict[str, str]) -> None:
    told = run(environment, "accounts", "-i", str(INVENTORY), "--json").stdout
    assert [account["account"] for account in json.loads(told)["accounts"]] == ["local"]
    groups = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]
    assert sorted(groups) == sorted(EXAMPLES) == sorted(ROUTES)


def test_an_account_in_an_example_is_accepted(environment: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(INVENTORY / "group_vars", tmp_path / "copied" / "group_vars")
    hosts = "".join(f"{name}:\n  hosts:\n    alice@{name}:\n" for name in EXAMPLES)
    (tmp_path / "copied" / "hosts.yml").write_text(hosts)
    told = json.loads(run(environment, "accounts", "-i", str(tmp_path / "copied"), "--json").stdout)["accounts"]
    assert [(account["account"], account["problem"]) for account in told] == [(f"alice@{name}", "") for name in ROUTES]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_facts_of_an_example_are_right(name: str) -> None:
    facts = yaml.safe_load(EXAMPLES[name].read_text())
    cluster = Cluster.from_facts(facts, account=f"alice@{name}")
    assert (cluster.name, cluster.user, cluster.route) == (name, "alice", ROUTES[name])
    hops = {*cluster.login_hosts, *(gateway.host for gateway in cluster.gateways)}
    assert {host for host, _pins in cluster.host_keys} == hops


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_names_no_variable_that_nobody_reads(name: str) -> None:
    named = {key for key in yaml.safe_load(EXAMPLES[name].read_text()) if not key.startswith("hpc_")}
    assert named <= role_variables()


def test_the_example_of_a_lab_in_one_file_is_right_and_short(environment: dict[str, str], tmp_path: Path) -> None:
    lab = tmp_path / "lab.accounts.yml"
    shutil.copy(ROOT / "docs/lab.accounts.yml", lab)
    told = json.loads(run(environment, "accounts", "-i", str(lab), "--json").stdout)["accounts"]
    names = ["alice@cori", "alice@hydra", "bob@cori", "bob@hydra", "carol@cori"]
    assert [(account["account"], account["problem"]) for account in told] == [(name, "") for name in names]
    clusters, people = lab.read_text().partition("clusters:\n")[2].split("people:\n")
    assert all(len(part.splitlines()) <= 10 for part in re.split(r"(?m)^  \w+:$", clusters.partition("\n\n")[0]))
    assert len(people.splitlines()) == len({name.partition("@")[0] for name in names})

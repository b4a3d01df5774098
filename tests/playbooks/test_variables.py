"""What people write into variables: strings from the command line, nothing, misspelt names, too many accounts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.jupyter_env import jupyter_python
from tests.machine import ROOT
from tests.playbooks.plays import NAME, Home, Played
from tests.session_site import processes_of, wait_for

ENTRIES = ("launch", "stop", "status", "logs", "clean", "restart")
"""The last one fails where there is no session."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An account on which nothing has been done."""
    made = Home(tmp_path / "home")
    made.path.mkdir()
    return made


def _existing() -> dict[str, object]:
    prefix = jupyter_python().parent.parent
    return {"jupyter_environment_kind": "existing", "jupyter_environment_path": str(prefix)}


def _options(role: str) -> dict[str, Any]:
    specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return {name: option for point in specs.values() for name, option in point["options"].items()}


def _strings() -> list[str]:
    """``-e`` with the default of each number, truth value and list of words, which arrives as a string."""
    options = [item for role in (ROOT / "roles").iterdir() for item in _options(role.name).items()]
    given = [(name, option["default"]) for name, option in options if option["type"] in ("int", "bool")]
    given += [(name, "") for name, option in options if option["type"] == "list" and option["elements"] == "str"]
    return [part for name, value in given for part in ("-e", f"{name}={value}")]


def _readme_play(home: Home, role: str) -> str:
    """The playbook that a role's README shows, in a file."""
    block = re.search(r"```yaml\n(- .*?)```", (ROOT / "roles" / role / "README.md").read_text(), re.S)
    assert block
    playbook = home.path.parent / f"{role}-readme.yml"
    playbook.write_text(block[1])
    return str(playbook)


def _well(played: Played) -> Played:
    assert played.code == 0, played.out
    return played


def test_every_number_truth_value_and_empty_list_may_be_a_string(home: Home) -> None:
    strings = _strings()
    assert {"jupyter_server_certificate_days=365", "jupyter_session_extra="} <= set(strings)
    _well(home.play("setup.yml", *strings, **_existing()))
    first, *others = (ROOT / "playbooks" / f"{entry}.yml" for entry in ENTRIES)
    shown = home.play(str(first), *map(str, others), "--check", *strings)
    assert shown.out.count("failed=0") == len(ENTRIES) - 1
    assert "has no Jupyter to start anew: there is no such session" in shown.out


def test_the_examples_of_the_readmes_work(home: Home) -> None:
    _well(home.play(_readme_play(home, "jupyter_environment"), **_existing()))
    assert json.loads((home.root / "account.json").read_text())["account"] == NAME
    shown = _well(home.play(_readme_play(home, "jupyter_session"), "--check", "-v"))
    assert "Wait until the session is ready" in shown.out


def test_an_empty_root_and_scheduler_are_as_if_not_set(home: Home) -> None:
    _well(home.role("jupyter_server", hpc_root="", hpc_scheduler=""))
    assert sorted(path.name for path in home.path.iterdir() if path.name != ".ansible") == [".local"]
    assert json.loads((home.root / "account.json").read_text())["scheduler"] == "none"
    _well(home.play("status.yml", hpc_root="", hpc_scheduler=""))


@pytest.mark.parametrize("package", ["tool @ https://me:canary-pw@127.0.0.1:9/tool.whl", "https://canary-pw@127.0.0.1:9/\x07"])
def test_the_password_in_a_packages_address_is_never_shown(home: Home, package: str) -> None:
    given = {"jupyter_environment_packages": [package], "jupyter_environment_wheelhouse": "/tmp"}
    played = home.role("jupyter_environment", "--check", "--diff", "-vvv", **given)
    assert "127.0.0.1:9" in played.out
    assert "canary-pw" not in played.out


def test_a_misspelt_variable_of_any_role_is_refused(home: Home) -> None:
    """By the first task, which is the same in all playbooks but for those that first count the accounts.

    The doctor's own first task says it too, as one of its findings.
    """
    told = home.play("doctor.yml", jupyter_session_tmie="1:00:00")
    assert (told.code != 0, "jupyter_session_tmie: is not a variable of the roles. Did you" in told.out) == (True, True)
    for playbook in set((ROOT / "playbooks").glob("*.yml")) - {ROOT / "playbooks/doctor.yml"}:
        [play] = yaml.safe_load(playbook.read_text())
        first = next(task for task in play["tasks"] if "ansible.builtin.assert" not in task)
        begins = first.get("block", [first])[0]
        session = begins.get("ansible.builtin.import_role", {}).get("name") == "hpc.jupyter.jupyter_session"
        assert session or "hpc.jupyter.connect" in begins, playbook
    [connects] = yaml.safe_load((ROOT / "roles/jupyter_session/tasks/preflight.yml").read_text())
    assert "hpc.jupyter.connect" in connects
    for tasks in set((ROOT / "roles/jupyter_session/tasks").glob("*.yml")) - {
        ROOT / f"roles/jupyter_session/tasks/{part}.yml" for part in ("preflight", "doctor")
    }:
        assert yaml.safe_load(tasks.read_text())[0]["ansible.builtin.import_tasks"] == "preflight.yml", tasks
    for name, close in (("jupyter_session_tmie", "jupyter_session_time"), ("jupyter_access_kye", "jupyter_access_key")):
        played = home.play("setup.yml", **{name: "1:00:00"})
        assert played.code != 0
        assert f"{name}: is not a variable of the roles. Did you mean {close}?" in played.out
    assert not home.root.exists()


def test_what_a_session_cannot_be_is_refused_before_anything_is_asked(home: Home) -> None:
    played = home.play("launch.yml", jupyter_session_interface="notebok")
    assert played.code != 0
    assert "'notebok' is not one of lab, notebook, nbclassic. Did you mean notebook?" in played.out
    assert re.findall(r"TASK \[(.*)\]", played.out) == ["hpc.jupyter.jupyter_session : Connect"]


WRITTEN = {
    "jupyter_session_tmie: '1:00:00'": "jupyter_session_tmie: is not a variable of the roles. Did you mean",
    "jupyter_session_time: 2:00:00": "jupyter_session_time: 2:00:00 is not a decimal number; YAML reads it as 7200.",
    "jupyter_session_memory: 10 GB": "jupyter_session_memory: '10 GB' is not allowed. Write a number and K, M, G or T",
    "hpc_detach: tmuxx": "hpc_detach: 'tmuxx' is not one of setsid, tmux, screen. Did you mean tmux?",
    "jupyter_session_idle_seconds: soon": "jupyter_session_idle_seconds: 'soon' is not allowed. Write a number of sec",
    "jupyter_environment_purge: maybe": "jupyter_environment_purge: 'maybe' is not true or false",
    "jupyter_server_password: canary-Zq7 battery": "jupyter_server_password: is in clear in FILE, which others can",
    'jupyter_session_directory: "{{ later.stdout }}"': "",
}


@pytest.mark.rows("B41", "B42", "B43", "B53")
def test_what_is_written_wrong_is_told_by_the_first_task_with_its_place(home: Home) -> None:
    """What only a later task knows is left to that."""
    hosts = home.path.parent / "written"
    (hosts / "host_vars").mkdir(parents=True)
    names = [f"me@lab{number}" for number in range(len(WRITTEN))]
    facts = {"ansible_connection": "local", "hpc_scheduler": "none"}
    (hosts / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(names, facts)}}))
    for name, line in zip(names, WRITTEN, strict=True):
        (hosts / f"host_vars/{name}.yml").write_text(f"---\n{line}\n")
    played = home.play("launch.yml", "-i", str(hosts), "-l", ",".join(names))
    for name, message in zip(names, WRITTEN.values(), strict=True):
        file = f"{hosts}/host_vars/{name}.yml"
        assert not message or f"{file}:2: {message.replace('FILE', file)}" in played.out, played.out
        assert (f"ok: [{name}]" in played.out) == (not message)
    assert "canary-Zq7" not in played.out


def test_nothing_is_left_of_a_play_that_fails_while_its_module_is_packed(home: Home) -> None:
    played = home.play("launch.yml", jupyter_session_time="{{ typo }}")
    assert "'typo' is undefined" in played.out
    wait_for(lambda: not processes_of(str(home.path)))
    assert list((home.path / ".ansible/tmp").iterdir()) == []


def test_a_new_session_is_better_had_from_the_sites_jupyterhub(home: Home) -> None:
    hub = {"hpc_jupyterhub_url": "https://hub.example.org/x"}
    refused = home.play("launch.yml", "--check", **hub)
    assert refused.code != 0
    assert (
        "local has a JupyterHub, which is the better way: https://hub.example.org/x. "
        "To launch a session here anyway, set jupyter_session_anyway: true"
    ) in refused.out
    assert not home.root.exists()
    anyway = home.play("launch.yml", "--check", "-e", "jupyter_session_anyway=true", **hub).out
    assert "has a JupyterHub" not in anyway
    assert "me@local is not set up" in anyway
    _well(home.play("status.yml", **hub))


def test_a_setup_that_was_cut_off_does_not_look_complete(home: Home) -> None:
    (home.path / ".local").mkdir()
    (home.path / ".local/bin").write_text("no directory")
    assert home.role("jupyter_server").code != 0
    assert (home.root / "job.sh").exists()
    assert not (home.root / "account.json").exists()


ASKED = {
    "stop.yml": (
        "jupyter_session_all", "this would stop sessions of 2 accounts, and what is not saved in them is lost"),
    "restart.yml": (
        "jupyter_session_all", "this would restart sessions of 2 accounts, and what is in their kernels is lost"),
    "offboard.yml": ("jupyter_access_all", "this would remove 2 accounts with their sessions"),
}  # fmt: skip


def _with_two_accounts(home: Home, playbook: str, *options: str) -> Played:
    several = home.path.parent / "several.yml"
    several.write_text(yaml.safe_dump({"all": {"hosts": {"you@local": {"ansible_connection": "local"}}}}))
    return home.play(playbook, "-i", str(several), *options)


@pytest.mark.parametrize("playbook", ASKED)
def test_what_ends_kernels_of_several_accounts_has_to_be_asked_for(home: Home, playbook: str) -> None:
    variable, words = ASKED[playbook]
    refused = _with_two_accounts(home, playbook)
    assert refused.code == 2
    assert f"{words}: name one (-l ACCOUNT), or add -e {variable}=true" in refused.out
    [play] = yaml.safe_load((ROOT / "playbooks" / playbook).read_text())
    first = play["tasks"][0]["ansible.builtin.assert"]["that"]
    assert first == (
        f"ansible_play_hosts_all | length == 1 or {variable} | default(false) | bool or ansible_check_mode"
    )


@pytest.mark.parametrize("options", [("-l", NAME), ("-e", "jupyter_session_all=true"), ("--check",)])
def test_what_was_asked_for_is_done(home: Home, options: tuple[str, ...]) -> None:
    assert _with_two_accounts(home, "stop.yml", *options).code == 0

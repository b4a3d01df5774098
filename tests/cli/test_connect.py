"""The action hpc.jupyter.connect and the play variables around it, run by ansible-playbook; nothing is contacted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACTS: dict[str, Any] = {"hpc_login_hosts": ["login.invalid"], "hpc_scheduler": "slurm"}
TASKS: list[dict[str, Any]] = [
    {"hpc.jupyter.connect": {}, "register": "way"},
    {"ansible.builtin.copy": {"content": "{{ way | to_json }}", "dest": "{{ playbook_dir }}/way.json"},
     "delegate_to": "localhost", "vars": {"ansible_connection": "local"}, "check_mode": False},
]


def play(
    place: Path, hosts: dict[str, dict[str, Any]], *arguments: str, tasks: list[dict[str, Any]] | None = None,
    groups: dict[str, Any] | None = None, variables: str = "",
) -> str:
    """What ansible-playbook prints, with the variables of our playbooks beside the play."""
    inventory = {"all": {"hosts": hosts, "children": groups or {}}}
    (place / "hosts.json").write_text(json.dumps(inventory))
    (place / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks or TASKS}]))
    (place / "group_vars").mkdir(exist_ok=True)
    (place / "group_vars/all.yml").write_text(variables or (ROOT / "playbooks/group_vars/all.yml").read_text())
    (place / "ansible.cfg").touch()
    env = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"), "XDG_STATE_HOME": str(place / "s"),
           "ANSIBLE_CONFIG": str(place / "ansible.cfg"), "COLUMNS": "1000"}
    argv = [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.json", "play.yml", *arguments]
    done = subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short path: a socket lies below it."""
    return tmp_path_factory.mktemp("p")


@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_local_account_is_only_checked(place: Path, arguments: tuple[str, ...]) -> None:
    facts = {"ansible_connection": "local", "hpc_scheduler": "none", "hpc_route": "local"}
    assert "failed=0" in play(place, {"local": facts}, *arguments)
    way = json.loads((place / "way.json").read_text())
    assert (way["changed"], way["opened"], way["ssh_config"]) == (False, False, "")
    assert (way["cluster"]["local"], way["cluster"]["route"]) == (True, "local")
    assert not (place / "s").exists()


def test_facts_may_be_templates(place: Path) -> None:
    facts = {**FACTS, "site": "example.invalid", "hpc_login_hosts": ["{{ 'login.' ~ site }}"]}
    told = play(place, {"alice@lab": facts})
    assert "lab: login host login.example.invalid: the name is not known here." in told


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"hpc_gatways": []}, "hpc_gatways: is not a cluster fact. Did you mean hpc_gateways?"),
    ({"hpc_gateways": ["gate:08888"]}, "hpc_gateways: '08888' is not a decimal port. Allowed are 1 to 65535"),
    ({"hpc_login_hosts": ["-oProxyCommand=touch x"]}, "hpc_login_hosts: '-oProxyCommand=touch x' is not a host name."),
    ({"ansible_user": "root"}, "hpc_user: alice@lab would log in as root, which is refused on clusters."),
    ({"ansible_connection": "paramiko_ssh"}, "ansible_connection: 'paramiko' is not one of local, ssh"),
    ({"ansible_host": "login.example.org"},
     ("ansible_host: is login.example.org, which would go around the gateways and the pinned host keys. "
      "Remove it, and write the login host's name into hpc_login_hosts")),
    ({"ansible_ssh_common_args": "-o StrictHostKeyChecking=no"},
     ("ansible_ssh_common_args: turns the check of host keys off. "
      "Remove that, and pin the site's fingerprints in hpc_host_keys")),
    ({"ansible_ssh_extra_args": "-oStrictHostKeyChecking=accept-new"},
     "ansible_ssh_extra_args: turns the check of host keys off."),
    ({"ansible_ssh_args": "-o ControlMaster=auto"},
     ("ansible_ssh_args: does not lead over the generated ssh configuration. Remove it where it is set, and give the "
      "play the variables of hpc.jupyter's playbooks/group_vars/all.yml; options of your own belong into "
      "~/.ssh/config")),
    *[({f"ansible_{option}": text},
       (f"ansible_{option}: leads around the gateways and the pinned host keys. "
        "Remove that; the way belongs into hpc_gateways and hpc_login_hosts"))
      for option in ("ssh_common_args", "ssh_extra_args")
      for text in ("-F none", "'-F' none", "-4F/dev/null", "-J evil", "-oproxycommand=id", "-o 'ProxyJump evil'",
                   "-C -o HostName=evil")],
    ({"ansible_ssh_host_key_checking": False},
     "ansible_ssh_host_key_checking: is false; host keys are always checked. Remove it"),
    ({"hpc_user": {"__ansible_unsafe": "{{ lookup('pipe', 'touch canary') }}"}},
     "hpc_user: \"{{ lookup('pipe', 'touch canary') }}\" is not a user name."),
]


@pytest.mark.rows("T18")
def test_bad_facts_are_refused_before_any_ssh(place: Path) -> None:
    names = [f"alice{number}@lab" for number in range(len(REFUSED))]
    told = play(place, {name: {**FACTS, **facts} for name, (facts, _message) in zip(names, REFUSED, strict=True)})
    lines = {name: next(line for line in told.splitlines() if line.startswith(f"fatal: [{name}]")) for name in names}
    for name, (_facts, message) in zip(names, REFUSED, strict=True):
        assert json.dumps(message.replace("alice@lab", name))[1:-1] in lines[name]
    assert not (place / "s").exists()
    assert not (place / "canary").exists()


def test_arguments_that_lead_nowhere_else_are_taken(place: Path) -> None:
    told = play(place, {"alice@lab": {**FACTS, "ansible_ssh_common_args": "-o IdentityFile=/x/FJ -C"}})
    assert "lab: login host login.invalid: the name is not known here." in told


def test_group_variables_do_not_beat_the_play_variables(place: Path) -> None:
    (place / "group_vars").mkdir()
    (place / "group_vars/lab.yml").write_text("ansible_ssh_args: -F none\n")
    hosts = {"alice@lab": FACTS}
    told = play(place, hosts, groups={"lab": {"hosts": {"alice@lab": {}}}})
    assert "ansible_ssh_args: does not lead over the generated ssh configuration." in told


def test_what_is_wrong_in_group_variables_is_told_with_its_file_and_line(place: Path) -> None:
    (place / "group_vars").mkdir()
    (place / "group_vars/lab.yml").write_text("---\nhpc_scheduler: slurm\nhpc_route: nod\n")
    (place / "group_vars/lib.yml").write_text("---\nansible_ssh_common_args: -F none\n")
    hosts = {"alice@lab": FACTS, "alice@lib": FACTS}
    told = play(place, hosts, groups={"lab": {"hosts": {"alice@lab": {}}}, "lib": {"hosts": {"alice@lib": {}}}})
    assert f"{place}/group_vars/lab.yml:3: hpc_route: 'nod' is not one of auto, local, node, step, " in told
    assert f"{place}/group_vars/lib.yml:2: ansible_ssh_common_args: leads around the gateways" in told


def test_a_play_without_our_variables_is_told_so(place: Path) -> None:
    told = play(place, {"alice@lab": FACTS}, variables="{}\n")
    assert (
        "ansible_host: is not set, so that Ansible would go around the generated ssh configuration. "
        "Give the play the variables of hpc.jupyter's playbooks/group_vars/all.yml"
    ) in told
    assert not (place / "s").exists()


def test_play_variables_lead_ansible_over_the_configuration(place: Path) -> None:
    names = ["ansible_host", "ansible_ssh_args", "ansible_pipelining", "ansible_python_interpreter"]
    task = {"ansible.builtin.debug": {"msg": [f"{name}={{{{ {name} }}}}" for name in names]}}
    hosts = {"alice@lab": FACTS, "bob@lab": {**FACTS, "ansible_python_interpreter": "/opt/python"}}
    told = play(place, hosts, tasks=[task])
    assert told.count('"ansible_host=lab"') == 2
    assert f'"ansible_ssh_args=-F {place}/s/hpc-jupyter/alice@lab/ssh_config -o ClearAllForwardings=yes"' in told
    assert '"ansible_pipelining=True"' in told
    assert '"ansible_python_interpreter=auto_silent"' in told
    assert '"ansible_python_interpreter=/opt/python"' in told

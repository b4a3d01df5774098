# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts file: what it gives, and in which line it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import accounts, host_keys

PATH = "/lab/lab.accounts.yml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8c2v2h8h0D0r1uZ9w3n4m5q6r7s8t9u0v1w2x3y4z5"
PIN = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
GOOD = """\
plugin: hpc.jupyter.accounts
clusters:
  cori:
    hpc_login_hosts: [cori.example.org]
    hpc_scheduler: slurm
    jupyter_session_time: "2:00:00"
  hydra-2:
    hpc_login_hosts: [hydra.example.org]
    hpc_scheduler: none
people:
  alice: {accounts: {cori: asmith, hydra-2: }, jupyter_session_time: "4:00:00"}
  bob: {accounts: [cori]}
"""


def read(text: str, **pins: dict[str, list[str]]) -> accounts.Lab:
    return accounts.read(text, path=PATH, loader=DataLoader(), pins=pins)


def test_a_file_gives_accounts_groups_and_variables() -> None:
    lab = read(GOOD)
    told = [(each.name, dict(each.variables)) for each in lab.accounts]
    assert told == [
        ("alice@cori", {"jupyter_session_time": "4:00:00", "hpc_user": "asmith"}),
        ("alice@hydra-2", {"jupyter_session_time": "4:00:00", "hpc_user": "alice"}),
        ("bob@cori", {"hpc_user": "bob"}),
    ]
    assert lab.groups == {"cori": "cori", "hydra-2": "hydra_2", "alice": "alice", "bob": "bob"}
    assert lab.clusters["cori"]["jupyter_session_time"] == "2:00:00"


def test_one_account_may_say_more_and_public_keys_lose_their_comment() -> None:
    account = "accounts: {cori: {user: c, jupyter_session_project: chem}}"
    [carol] = read(f'{GOOD}  carol: {{{account}, keys: ["{KEY} {{{{ 7 * 7 }}}}"]}}\n').accounts[3:]
    assert carol.variables == {"hpc_user": "c", "jupyter_session_project": "chem", accounts.KEYS_VARIABLE: [KEY]}


def test_confirmed_host_keys_are_for_hosts_of_which_the_file_says_nothing() -> None:
    added = {"cori": {"cori.example.org": [PIN], "gate": [PIN]}}
    assert read(GOOD, **added).clusters["cori"]["hpc_host_keys"] == added["cori"]
    said = f'    hpc_host_keys: {{gate: ["{PIN} (RSA)"]}}\n'
    own = GOOD.replace("    hpc_scheduler: slurm\n", f"    hpc_scheduler: slurm\n{said}")
    both = {"cori.example.org": [PIN], "gate": [f"{PIN} (RSA)"]}
    assert read(own, **added).clusters["cori"]["hpc_host_keys"] == both


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("slurm", "slrum", "5: hpc_scheduler: 'slrum' is not one of none, slurm, pbs, sge, lsf. Did you mean slurm?"),
        ("    hpc_scheduler: slurm\n", "", "3: hpc_scheduler: is not set; it is one of none, slurm"),
        ("hpc_scheduler: slurm", "hpc_schedler: slurm", "5: cori: 'hpc_schedler' is not known here. "
         "Did you mean hpc_scheduler?"),
        ("session_time", "session_tiem", "6: cori: 'jupyter_session_tiem' is not known here. "
         "Did you mean jupyter_session_time?"),
        ('"2:00:00"', '"2:00:00:00:00"', "6: jupyter_session_time: "),
        ('"2:00:00"', "2:00:00", "6: jupyter_session_time: '7200' is not a walltime. Write [D-]H:MM:SS in quotes"),
        ('"2:00:00"', "'{{ jobs }}'", "6: jupyter_session_time: is a template, and this file is data. "
         "Write it into group_vars or host_vars beside this file"),
        ("slurm\n", "slurm\n    hpc_user: x\n", "6: cori: 'hpc_user' belongs to an account: accounts: {CLUSTER: USER}"),
        ("accounts: [cori]", "accounts: [cory]", "12: bob: 'cory' is not a cluster of this file. Did you mean cori?"),
        ("accounts: [cori]", "accounts: [cori, cori]", "12: bob: accounts: 'cori' is there twice"),
        ("accounts: [cori]", "accounts: {cori: x, cori: y}", "12: cori: is there twice (first in line 12)"),
        ("accounts: [cori]", "accounts: {cori: asmith}", "12: bob: asmith on cori is alice's account already "
         "(line 11). Each person has accounts of their own"),
        ("accounts: [cori]", "accounts: {cori: 0100}", "12: bob: 64 is not a user name. Write it in quotes"),
        ("accounts: [cori]", "accounts: {cori: root}", "12: hpc_user: bob@cori would log in as root, which is "),
        ("accounts: [cori]", "accounts: {cori: -oX}", "12: hpc_user: '-oX' is not a user name. "),
        ("accounts: [cori]", "accounts: cori", "12: bob: accounts: 'cori' is neither a list nor a mapping. "),
        ("accounts: [cori]", "acounts: [cori]", "12: bob: has no account. Write accounts: {CLUSTER: USER}"),
        ("accounts: [cori]", "accounts: [cori], kyes: []", "12: bob: 'kyes' is not known here. Did you mean keys?"),
        ("accounts: [cori]", "accounts: [cori], keys: [AAAA]", "12: keys: holds something that is not a public key. "
         "Take the whole line of ~/.ssh/id_….pub"),
        ("bob:", "alice:", "12: alice: is there twice (first in line 11)"),
        ("bob:", "cori:", "12: cori: is both a cluster and a person: both would be the group cori. Rename one of them"),
        ("bob:", "hydra_2:", "12: hydra_2: is called like hydra-2: both would be the group hydra_2. "),
        ("bob:", "all:", "12: people: 'all' is a group of Ansible's own. Choose another name"),
        ("bob:", "no:", "12: people: False is not a name. Write it in quotes"),
        ("bob:", "b@b:", "12: people: 'b@b' is not a name. Allowed are "),
        ("clusters:", "cluster:", "2: cluster: is not a section of the file. Did you mean clusters?"),
        ("  bob", " bob", "12: the file: is not YAML: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(BadInput) as told:
        read(GOOD.replace(old, new, 1))
    assert str(told.value).startswith(f"{PATH}:{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file: is not a mapping. Its sections are plugin, clusters, people"),
        ("plugin: hpc.jupyter.accounts\nclusters: {}\n", "people: is missing in the file"),
        ("[" * 3000, "the file: is not YAML: maximum recursion depth exceeded"),
    ],
)
def test_a_file_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput) as told:
        read(text)
    assert str(told.value).startswith(f"{PATH}: {message}")


def test_host_keys_that_were_confirmed_are_kept_beside_the_file(tmp_path: Path) -> None:
    path = host_keys.beside(str(tmp_path / "lab.accounts.yml"))
    assert path == str(tmp_path / "lab.accounts.host_keys.txt")
    assert host_keys.read(path) == {}
    pins = {"cori": {"gate": [PIN, f"{PIN} (RSA)"]}}
    host_keys.write(path, pins)
    assert host_keys.read(path) == pins
    with open(path, "a") as stream:
        stream.write("cori gate\n")
    with pytest.raises(BadInput, match=f"{path}:4: host keys: 'cori gate' is not CLUSTER HOST FINGERPRINT"):
        host_keys.read(path)

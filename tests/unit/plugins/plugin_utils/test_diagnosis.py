# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.doctor import FAIL, OK, WARN, Check
from ansible_collections.hpc.jupyter.plugins.plugin_utils import diagnosis
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import DENIED, UNTRUSTED

PIN = "SHA256:" + "A" * 43
SAID = (
    'Authenticated to gate ([192.0.2.1]:22) using "publickey".\n'
    'Authenticated to login (via proxy) using "keyboard-interactive".\n'
)


def cluster(host: str = "gate", port: int = 22) -> Cluster:
    facts = {
        "hpc_gateways": [f"{host}:{port}"], "hpc_login_hosts": ["login"], "hpc_scheduler": "slurm",
        "hpc_host_keys": {"login": [PIN]},
    }  # fmt: skip
    return Cluster.from_facts(facts, account="alice@lab")


def test_who_lets_one_in_and_how() -> None:
    assert diagnosis.let_in(cluster(), SAID, opened=True) == [
        Check("host key", WARN,
              "gateway gate: no key is pinned; what it presents is known from ~/.ssh/known_hosts alone",
              "Pin what the site publishes in hpc_host_keys, under gate"),
        Check("host key", OK, "login host login presents a key that is pinned"),
        Check("login", OK, "gateway gate lets alice in by publickey"),
        Check("login", OK, "login host login lets alice in by keyboard-interactive"),
    ]


def test_a_login_that_was_there_already() -> None:
    told = diagnosis.let_in(cluster(), "", opened=False)[-1]
    assert told == Check("login", OK, "logged in to login host login: that connection was open already")


@pytest.mark.parametrize(("cause", "name"), [(DENIED, "login"), (UNTRUSTED, "host key"), ("", "login")])
def test_how_far_one_gets(cause: str, name: str) -> None:
    message = "lab: login host login: something is wrong. Do this. And that"
    told = diagnosis.kept_out(cluster(), message, cause=cause, said=SAID.splitlines()[0] + "\n")
    assert [(check.name, check.state) for check in told] == [("host key", WARN), ("login", OK), (name, FAIL)]
    assert (told[-1].text, told[-1].remedy) == ("login host login: something is wrong", "Do this. And that")


def test_a_name_that_nobody_knows() -> None:
    [check] = diagnosis.first_hop(cluster("no-such-host.invalid"))
    assert (check.name, check.state) == ("name", FAIL)
    assert check.text.startswith("gateway no-such-host.invalid: the name is not known here (")
    assert check.remedy == "Check hpc_gateways, and this machine's network or VPN"


def test_a_port_that_is_closed_or_open() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert diagnosis.first_hop(cluster("127.0.0.1", port))[1] == Check(
            "port", FAIL, f"gateway 127.0.0.1: port {port} cannot be reached (Connection refused)",
            "Check this machine's network or VPN, and whether the host is up",
        )
        listening.listen(1)
        opened = Check("port", OK, f"gateway 127.0.0.1: port {port} is open")
        assert diagnosis.first_hop(cluster("127.0.0.1", port))[1] == opened


def test_a_shell_that_prints() -> None:
    assert diagnosis.shell("  \n").state == OK
    check = diagnosis.shell("Welcome!\nNews: none\n")
    assert (check.state, check.text) == (
        WARN, "the login shell prints 19 characters by itself, beginning with 'Welcome!'"
    )


@pytest.mark.parametrize(
    ("now", "state", "text"),
    [
        (100.5, OK, "both clocks agree"),
        (105.0, OK, "the account's clock is 4 seconds ahead of this machine's"),
        (20.0, WARN, "the account's clock is 80 seconds behind this machine's"),
        (9999.0, FAIL, "the account's clock is 9898 seconds ahead of this machine's"),
    ],
)
def test_clocks(now: float, state: str, text: str) -> None:
    check = diagnosis.clock(now, before=100.0, after=101.0)
    assert (check.state, check.text, bool(check.remedy)) == (state, text, state != OK)

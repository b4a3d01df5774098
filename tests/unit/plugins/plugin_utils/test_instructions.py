# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import route
from ansible_collections.hpc.jupyter.plugins.plugin_utils.instructions import instructions

CONFIG = "/home/a b/.local/state/hpc-jupyter/alice@lab/ssh_config"
ROOT = "~/.local/share/hpc-jupyter/lab"
LAB: dict[str, Any] = {"cluster": {"name": "lab", "local": False, "root": ROOT}, "ssh_config": CONFIG}
HERE = {"cluster": {"name": "local", "local": True, "root": ROOT}, "ssh_config": ""}
READY: dict[str, Any] = {
    "account": "alice@lab", "session": "default", "state": "ready", "job_id": "7", "node": "c1", "ends_at": "",
    "socket": "/tmp/hpcj-x/s", "port": 0, "base_url": "/0123/", "reason": "",
}


def test_a_ready_session_is_reached_with_one_command_and_one_url() -> None:
    command = f"ssh -F '{CONFIG}' -N -o ExitOnForwardFailure=yes -L 127.0.0.1:9000:/tmp/hpcj-x/s c1"
    show_url = f"ssh -F '{CONFIG}' lab '{ROOT}/hpc-session url --session default --port 9000'"
    assert instructions(READY, LAB, 9000) == [
        "alice@lab default: Ready on c1 as job 7",
        f"Forward it, and leave this running: {command}",
        "Open http://127.0.0.1:9000/0123/lab",
        f"Log in with your password, or take the whole URL from: {show_url}",
        "Stop it: ansible-playbook hpc.jupyter.stop --limit alice@lab",
    ]
    assert shlex.split(command)[2] == CONFIG


@pytest.mark.parametrize(("session", "port"), [("default", 28974), ("gpu", 26603)])
def test_a_session_has_a_port_of_its_own(session: str, port: int) -> None:
    assert route.first_port("alice@lab", session) == port
    told = instructions({**READY, "session": session}, LAB)
    assert f" -L 127.0.0.1:{port}:/tmp/hpcj-x/s c1" in told[1]
    assert told[2] == f"Open http://127.0.0.1:{port}/0123/lab"


@pytest.mark.parametrize(("more", "page"), [
    ({"interface": "lab"}, "lab"),
    ({"interface": "notebook"}, "tree"),
    ({"interface": "nbclassic", "page": "nbclassic/tree"}, "nbclassic/tree"),
])
def test_the_url_is_that_of_the_interface(more: dict[str, str], page: str) -> None:
    assert instructions({**READY, **more}, LAB, 9000)[2] == f"Open http://127.0.0.1:9000/0123/{page}"


def test_on_this_machine_there_is_nothing_to_forward() -> None:
    told = instructions({**READY, "port": 4321, "socket": "", "session": "gpu"}, HERE)
    assert told[1:] == [
        "Open http://127.0.0.1:4321/0123/lab",
        f"Log in with your password, or take the whole URL from: {ROOT}/hpc-session url --session gpu --port 4321",
        "Stop it: ansible-playbook hpc.jupyter.stop --limit alice@lab -e jupyter_session_name=gpu",
    ]


PLACES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"offer": "lan", "address": "10.0.0.2", "port": 4000, "login_host": "login2"}, "auto",
     "127.0.0.1:9000:10.0.0.2:4000", "lab"),
    ({"offer": "lan", "address": "fd00::2", "port": 4000, "login_host": "login2"}, "lan",
     "'127.0.0.1:9000:[fd00::2]:4000'", "lab"),
    ({"offer": "reverse", "login_socket": "/run/user/7/x", "login_host": "login2"}, "auto",
     "127.0.0.1:9000:/run/user/7/x", "lab"),
    ({"offer": "reverse", "login_port": 5000, "login_host": "login2"}, "reverse",
     "127.0.0.1:9000:127.0.0.1:5000", "lab"),
    ({"offer": "reverse", "login_port": 5000, "login_host": "login2", "login_host_keys": ["k"]}, "reverse",
     "127.0.0.1:9000:127.0.0.1:5000", "login2"),
    ({"offer": "socket"}, "step", "127.0.0.1:9000:/tmp/hpcj-x/s", "lab-step-default"),
    ({"offer": "socket"}, "auto", "127.0.0.1:9000:/tmp/hpcj-x/s", "c1"),
    ({"offer": "socket", "scheduler": "none"}, "auto", "127.0.0.1:9000:/tmp/hpcj-x/s", "lab"),
]


@pytest.mark.parametrize(("place", "wanted", "forward", "target"), PLACES)
def test_every_route_is_a_command_of_plain_ssh(place: dict[str, Any], wanted: str, forward: str, target: str) -> None:
    connected = {**LAB, "cluster": {**LAB["cluster"], "route": wanted, "login_hosts": ["login"]}}
    told = instructions({**READY, **place}, connected, 9000)
    alone = "-S none " if target == "lab" else ""
    assert told[1] == (
        "Forward it, and leave this running: "
        f"ssh -F '{CONFIG}' -N -o ExitOnForwardFailure=yes {alone}-L {forward} {target}"
    )


def test_a_certificate_is_to_be_compared() -> None:
    lan = {**READY, "offer": "lan", "address": "10.0.0.2", "port": 4000, "login_host": "l", "tls_sha256": "0a1b" * 16}
    told = instructions({**lan, "interface": "notebook"}, LAB, 9000)
    assert told[2] == "Open https://127.0.0.1:9000/0123/tree"
    shown = ":".join(["0A", "1B"] * 16)
    assert told[3] == f"Compare the certificate's SHA-256 in the browser before you go on: {shown}"


def test_a_queued_session_is_not_lost() -> None:
    assert instructions({**READY, "state": "queued", "reason": "Resources"}, LAB) == [
        "alice@lab default: Job 7 waits in the queue: no free nodes yet (Resources)",
        "Look again: ansible-playbook hpc.jupyter.launch --limit alice@lab",
        "Give it up: ansible-playbook hpc.jupyter.stop --limit alice@lab",
    ]


def test_in_check_mode_there_may_be_no_session() -> None:
    assert instructions({}, LAB) == ["There is no such session yet; launching would submit it"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"socket": ""}, "socket on a node"),
        ({"node": ""}, "socket on a node"),
        ({"offer": "lan", "port": 7, "login_host": "l"}, "port of its node"),
        ({"offer": "reverse"}, "socket on a login host"),
        ({"offer": "reverse", "login_host": "l"}, "socket on a login host"),
    ],
)
def test_a_record_without_a_place_has_no_way(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(HpcJupyterError) as caught:
        route.way({**READY, **changes}, local=False, config=CONFIG, port=1)
    assert str(caught.value) == (
        f"session default of alice@lab offers no {what}, so there is no way to it: stop it and launch it again"
    )


def test_a_login_host_other_than_the_one_that_answers_is_named() -> None:
    shared = {**READY, "scheduler": "none", "node": "login2", "login_host": "login2"}
    reached = [
        route.way(shared, local=False, config=CONFIG, port=1, cluster="lab", host=host).target
        for host in ("", "login2", "login1")
    ]
    assert reached == ["lab", "lab", "login2"]

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
LAB = {"cluster": {"name": "lab", "local": False, "root": ROOT}, "ssh_config": CONFIG}
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


def test_a_queued_session_is_not_lost() -> None:
    assert instructions({**READY, "state": "queued", "reason": "Resources"}, LAB) == [
        "alice@lab default: Job 7 waits in the queue: no free nodes yet (Resources)",
        "Look again: ansible-playbook hpc.jupyter.launch --limit alice@lab",
        "Give it up: ansible-playbook hpc.jupyter.stop --limit alice@lab",
    ]


def test_in_check_mode_there_may_be_no_session() -> None:
    assert instructions({}, LAB) == ["There is no such session yet; launching would submit it"]


@pytest.mark.parametrize("missing", ["socket", "node"])
def test_a_record_without_a_place_has_no_way(missing: str) -> None:
    with pytest.raises(HpcJupyterError) as caught:
        route.way({**READY, missing: ""}, local=False, config=CONFIG, port=1)
    assert str(caught.value) == (
        "session default of alice@lab offers no socket on a node, so there is no way to it: stop it and launch it again"
    )

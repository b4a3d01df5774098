"""From which hops a key is taken back: not from one where another account logs in with it."""

from __future__ import annotations

import base64
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.action.authorized_key import ActionModule
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import Hop

KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"k" * 36).decode()
CLUSTER = Cluster(
    name="cori", account="alice@cori", user="alice", login_hosts=("cori.example.org",), scheduler="slurm",
    gateways=(Gateway("gate.example.org", "admin"), Gateway("inner.example.org", "admin")),
)
ABOUT = {"public_key": KEY, "state": "absent", "gateways": True, "key": "", "further": [KEY], "leaving": [],
         "way_back": True}
ACTION = "ansible_collections.hpc.jupyter.plugins.action.authorized_key"


@pytest.mark.parametrize(
    ("needed", "leaving", "taken_from"),
    [
        ([], [], [(2, KEY), (2, KEY), (1, KEY), (0, KEY)]),
        (["gate.example.org"], ["bob@cori"], [(2, KEY), (2, KEY), (1, KEY)]),
        (["cori.example.org"], ["bob@cori"], [(2, ""), (1, KEY), (0, KEY)]),
        # the last one takes back what both need, so that each gets to the gateway after it
        (["gate.example.org"], ["alice@cori", "alice@hydra"], [(2, KEY), (2, KEY), (1, KEY)]),
        (["gate.example.org"], ["alice@hydra", "alice@cori"], [(2, KEY), (2, KEY), (1, KEY), (0, KEY)]),
        (["cori.example.org"], ["alice@cori", "alice@hydra"], [(2, KEY), (2, KEY), (1, KEY), (0, KEY)]),
    ],
)
def test_a_hop_that_another_account_needs_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, needed: list[str], leaving: list[str], taken_from: list[tuple[int, str]]
) -> None:
    asked: list[tuple[int, str]] = []

    def others(hop: Hop, *, account: str, public: str, leaving: list[str]) -> list[str]:
        assert (account, public) == ("alice@cori", KEY)
        return [name for name in ["alice@hydra"] if hop.host in needed and name not in leaving]

    def on_account(_cluster: Cluster, _files: object, argv: list[str]) -> subprocess.CompletedProcess[str]:
        asked.append((2, argv[5]))
        return subprocess.CompletedProcess(argv, 0, "answer yes no no\n", "")

    def on_gateway(_cluster: Cluster, argv: list[str], *, index: int, **_more: object) -> str:
        asked.append((index, argv[5]))
        return "answer yes no no\n"

    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/none")
    monkeypatch.setattr(f"{ACTION}.sharing.others", others)
    monkeypatch.setattr(f"{ACTION}.run_remote", on_account)
    monkeypatch.setattr(f"{ACTION}.shell.on_gateway", on_gateway)
    action: Any = ActionModule.__new__(ActionModule)
    action._task, action._connection = SimpleNamespace(check_mode=False), SimpleNamespace(transport="local")
    told = action._act(CLUSTER, {**ABOUT, "leaving": leaving})
    assert asked == taken_from
    kind = {"gate.example.org": "gateway", "cori.example.org": "login host"}
    staying = [] if "alice@hydra" in leaving else needed
    assert told["notes"] == [
        f"The key stays on {kind[host]} {host}: alice@hydra may log in with it" for host in staying
    ]


def test_a_gateway_that_cannot_be_asked_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/none")
    answered = subprocess.CompletedProcess([], 0, "answer yes no no\n", "")
    monkeypatch.setattr(f"{ACTION}.run_remote", lambda *_arguments: answered)
    said = {0: "", 1: "answer yes no no\n"}
    monkeypatch.setattr(f"{ACTION}.shell.on_gateway", lambda *_arguments, index, **_more: said[index])
    action: Any = ActionModule.__new__(ActionModule)
    action._task, action._connection = SimpleNamespace(check_mode=False), SimpleNamespace(transport="local")
    assert action._act(CLUSTER, ABOUT)["notes"] == [
        "The key may stay on gateway gate.example.org: it could not be looked for there"
    ]


@pytest.mark.parametrize("way_back", [False, True])
def test_the_way_back_of_sessions_that_run_is_left_alone_where_only_the_key_is_another(
    monkeypatch: pytest.MonkeyPatch, way_back: bool
) -> None:
    also: list[str] = []

    def on_account(_cluster: Cluster, _files: object, argv: list[str]) -> subprocess.CompletedProcess[str]:
        also.append(argv[7])
        return subprocess.CompletedProcess(argv, 0, "answer yes no no\n", "")

    monkeypatch.setenv("XDG_STATE_HOME", "/tmp/none")
    monkeypatch.setattr(f"{ACTION}.run_remote", on_account)
    action: Any = ActionModule.__new__(ActionModule)
    action._task, action._connection = SimpleNamespace(check_mode=False), SimpleNamespace(transport="local")
    action._act(CLUSTER, {**ABOUT, "further": [], "gateways": False, "way_back": way_back})
    assert also == ["hpc-jupyter-reverse-cori" if way_back else ""]

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin

PIN = "SHA256:" + "Ab+/" * 10 + "xyz"
FACTS: dict[str, Any] = {"hpc_login_hosts": ["login.example.org"], "hpc_scheduler": "slurm"}
HOSTS = "Allowed are letters, digits, '.', '_' and '-', beginning with a letter or a digit, at most 253"
USERS = "Allowed are letters, digits and ._@+-, at most 64"
PORTS = "Allowed are 1 to 65535"
ROOTS = "Allowed is a path below / or ~/ of letters, digits and ._+@=,:-"
PINS = "Allowed is SHA256: and 43 characters of base64, then (RSA), (ECDSA) or (ED25519) if the kind is known"
MD5 = "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"
ASK = "Ask the site for the SHA256 one (ssh-keygen -l -E sha256)"
ROUTES = "auto, local, node, step, lan, reverse"
LISTS = "Write it as a YAML list, also where it has one entry"


def build(account: str = "alice@lab", **facts: Any) -> Cluster:
    return Cluster.from_facts({**FACTS, **facts}, account=account)


def test_defaults() -> None:
    assert build() == Cluster(
        name="lab", account="alice@lab", user="alice", login_hosts=("login.example.org",), scheduler="slurm",
        root="~/.local/share/hpc-jupyter/lab",
    )


def test_every_fact() -> None:
    cluster = build(
        hpc_gateways=["bob@gate1:2222", "gate2", {"host": "gate3", "user": "carol", "port": "23", "relay": "jump"}],
        hpc_host_keys={"gate1": [PIN, PIN + " (RSA)"]}, hpc_login_port="2200", hpc_route="node", hpc_user="dora",
        hpc_root="/scratch/dora/hpc", hpc_jupyterhub_url="https://hub.example.org/x", hpc_detach="setsid",
        hpc_python="~/py/bin/python3", hpc_wheelhouse="/projects/lab/wheels",
    )
    assert cluster.gateways == (Gateway("gate1", "bob", 2222), Gateway("gate2", "dora"), Gateway("gate3", "carol", 23))
    assert cluster.pins("gate1") == (Pin(PIN), Pin(PIN, "RSA"))
    assert cluster.pins("gate2") == ()
    assert (cluster.user, cluster.login_port, cluster.root) == ("dora", 2200, "/scratch/dora/hpc")
    assert (cluster.python, cluster.wheelhouse) == ("~/py/bin/python3", "/projects/lab/wheels")
    assert json.loads(json.dumps(cluster.to_dict()))["host_keys"] == {"gate1": [PIN, PIN + " (RSA)"]}


def test_local_account() -> None:
    cluster = Cluster.from_facts({"ansible_connection": "local", "hpc_scheduler": None}, account="local")
    assert (cluster.name, cluster.user, cluster.local) == ("local", "", True)
    assert (cluster.scheduler, cluster.route) == ("none", "local")


def test_user_of_the_inventory_and_name_without_a_user() -> None:
    assert build("lab", ansible_user="alice").user == "alice"
    assert build("alice@ad.example@lab").user == "alice@ad.example"


def test_root_may_be_this_machines_user() -> None:
    assert Cluster.from_facts({"ansible_connection": "local", "ansible_user": "root"}, account="local").user == "root"


SCHEDULERS = "none, slurm, pbs, sge, lsf"
NO_STEPS = {
    "pbs": "pbsdsh passes no input on to what it starts",
    "sge": "qrsh -inherit works only from inside the job, not from a login host",
    "lsf": "blaunch works only from inside the job, not from a login host",
}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"hpc_gatways": []}, "hpc_gatways: is not a cluster fact. Did you mean hpc_gateways?"),
    ({"hpc_login_hosts": []}, "hpc_login_hosts: lab has no login host. Write [login.example.org]"),
    ({"hpc_login_hosts": "login"}, f"hpc_login_hosts: 'login' is not a list. {LISTS}"),
    ({"hpc_scheduler": None}, "hpc_scheduler: is not set; it is one of none, slurm, pbs, sge, lsf"),
    ({"hpc_scheduler": "slrum"}, f"hpc_scheduler: 'slrum' is not one of {SCHEDULERS}. Did you mean slurm?"),
    ({"hpc_scheduler": "htc"}, f"hpc_scheduler: 'htc' is not one of {SCHEDULERS}"),
    ({"hpc_scheduler": ["slurm"]}, f"hpc_scheduler: ['slurm'] is not one of {SCHEDULERS}. Did you mean slurm?"),
    ({"hpc_parallel_environment": "smp"},
     "hpc_parallel_environment: means nothing with hpc_scheduler: slurm. Remove it"),
    ({"hpc_scheduler": "lsf", "hpc_gpu_resource": "gpu"},
     "hpc_gpu_resource: means nothing with hpc_scheduler: lsf. Remove it"),
    ({"hpc_scheduler": "sge", "hpc_memory_per": "slots"},
     "hpc_memory_per: 'slots' is not one of slot, job. Did you mean slot?"),
    ({"hpc_scheduler": "sge", "hpc_memory_resource": "h_vmem,x=1"},
     "hpc_memory_resource: 'h_vmem,x=1' is not a name. Allowed are letters, digits and _.-, at most 64"),
    ({"hpc_scheduler": "sge", "hpc_memory_resource": 7},
     "hpc_memory_resource: 7 is not a name. Allowed are letters, digits and _.-, at most 64"),
    *(({"hpc_route": "step", "hpc_scheduler": name},
       "hpc_route: 'step' needs a scheduler that starts steps in a job (slurm), and hpc_scheduler is "
       f"{name}: {why}. Use auto, node, lan or reverse") for name, why in NO_STEPS.items()),
    ({"hpc_route": "setp"}, f"hpc_route: 'setp' is not one of {ROUTES}. Did you mean step?"),
    ({"hpc_route": ["lan"]}, f"hpc_route: ['lan'] is not one of {ROUTES}. Did you mean lan?"),
    ({"hpc_route": "local"},
     "hpc_route: 'local' is for accounts on this machine. Use auto, node, step, lan or reverse"),
    ({"hpc_route": "step", "hpc_scheduler": "none"},
     "hpc_route: 'step' needs a scheduler that starts steps in a job (slurm), and hpc_scheduler is none. "
     "Use auto, node or lan"),
    ({"hpc_route": "reverse", "hpc_scheduler": "none"},
     "hpc_route: 'reverse' leads from a job's node to the login host, and hpc_scheduler is none. "
     "Use auto, node or lan"),
    ({"hpc_detach": "tmxu"}, "hpc_detach: 'tmxu' is not one of setsid, tmux, screen. Did you mean tmux?"),
    ({"hpc_detach": "screen"},
     "hpc_detach: 'screen' is for hpc_scheduler: none, where the session runs on the login host; "
     "here the job of slurm outlives the login. Remove it"),
    ({"hpc_user": "root"},
     "hpc_user: alice@lab would log in as root, which is refused on clusters. Use a person's own account"),
    ({"ansible_user": "root"},
     "hpc_user: alice@lab would log in as root, which is refused on clusters. Use a person's own account"),
    ({"hpc_user": "-l"}, f"hpc_user: '-l' is not a user name. {USERS}"),
    ({"hpc_user": "a/b"}, f"hpc_user: 'a/b' is not a user name. {USERS}"),
    ({"hpc_user": "a..b"}, f"hpc_user: 'a..b' is not a user name. {USERS}"),
    ({"hpc_login_port": 0}, f"hpc_login_port: 0 is not a decimal port. {PORTS}"),
    ({"hpc_login_port": 70000}, f"hpc_login_port: 70000 is not a port. {PORTS}"),
    ({"hpc_gateways": ["gate:0"]}, f"hpc_gateways: '0' is not a decimal port. {PORTS}"),
    ({"hpc_gateways": ["gate:08888"]}, f"hpc_gateways: '08888' is not a decimal port. {PORTS}"),
    ({"hpc_gateways": ["gate:"]}, f"hpc_gateways: '' is not a decimal port. {PORTS}"),
    ({"hpc_gateways": ["gate:70000"]}, f"hpc_gateways: '70000' is not a port. {PORTS}"),
    ({"hpc_gateways": [{"host": "gate", "port": True}]}, f"hpc_gateways: True is not a decimal port. {PORTS}"),
    ({"hpc_gateways": [{"host": "gate", "port": 22.5}]}, f"hpc_gateways: 22.5 is not a decimal port. {PORTS}"),
    ({"hpc_gateways": [{"host": "gate", "port": -1}]}, f"hpc_gateways: -1 is not a decimal port. {PORTS}"),
    ({"hpc_gateways": [{"host": "gate", "relay": "jmp"}]},
     "hpc_gateways: 'jmp' is not one of jump, nc. Did you mean jump?"),
    ({"hpc_gateways": [{"hots": "gate"}]}, "hpc_gateways: 'hots' is not a gateway's key. Did you mean host?"),
    ({"hpc_gateways": [7]}, "hpc_gateways: 7 is not a gateway. Write USER@HOST:PORT or {host, user, port, relay}"),
    ({"hpc_gateways": "gate"}, f"hpc_gateways: 'gate' is not a list. {LISTS}"),
    ({"hpc_gateways": ["gate", "bob@gate:22"]}, "hpc_gateways: gate:22 is there twice; the way would go in a loop"),
    ({"hpc_gateways": ["login.example.org"]},
     "hpc_gateways: login.example.org:22 is a login host; the way would go in a loop"),
    ({"hpc_host_keys": {"gate": [MD5]}},
     f"hpc_host_keys: gate: {MD5} is an MD5 fingerprint, which no longer proves anything. {ASK}"),
    ({"hpc_host_keys": {"gate": ["SHA256:abc"]}}, f"hpc_host_keys: gate: 'SHA256:abc' is not a fingerprint. {PINS}"),
    ({"hpc_host_keys": {"gate": [PIN + "$(id)"]}},
     f"hpc_host_keys: gate: '{PIN}$(id)' is not a fingerprint. {PINS}"),
    ({"hpc_host_keys": {"gate": PIN}},
     f"hpc_host_keys: gate: '{PIN}' is no list of fingerprints. Write [\"SHA256:…\"]"),
    ({"hpc_host_keys": {"gate": []}}, 'hpc_host_keys: gate: [] is no list of fingerprints. Write ["SHA256:…"]'),
    ({"hpc_host_keys": [PIN]}, f"hpc_host_keys: ['{PIN}'] is not a mapping. Write HOST: [\"SHA256:…\"]"),
    ({"hpc_root": "relative"}, f"hpc_root: 'relative' is not a directory for the project. {ROOTS}"),
    ({"hpc_root": "~bob/x"}, f"hpc_root: '~bob/x' is not a directory for the project. {ROOTS}"),
    ({"hpc_root": "/a/../b"}, f"hpc_root: '/a/../b' is not a directory for the project. {ROOTS}"),
    ({"hpc_root": "/a b"}, f"hpc_root: '/a b' is not a directory for the project. {ROOTS}"),
    ({"hpc_python": "python3.11"}, f"hpc_python: 'python3.11' is not a Python's path. {ROOTS}"),
    ({"hpc_wheelhouse": ["/a"]}, f"hpc_wheelhouse: ['/a'] is not a directory for wheels. {ROOTS}"),
    ({"hpc_root": "/"}, f"hpc_root: '/' is not a directory for the project. {ROOTS}"),
    ({"hpc_jupyterhub_url": "javascript:1"},
     "hpc_jupyterhub_url: 'javascript:1' is not a web address. It begins with https://"),
]


@pytest.mark.parametrize(("facts", "message"), REFUSED)
def test_bad_facts_are_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        build(**facts)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "host",
    ["", "-oProxyCommand=x", "a b", "x;rm", "$(id)", "a\nb", "a\0b", "a\n", "h" * 254, "bücher.example", 7, None],
)
def test_bad_host_names_are_refused(host: object) -> None:
    with pytest.raises(BadInput) as refused:
        build(hpc_login_hosts=[host])
    assert str(refused.value) == f"hpc_login_hosts: {host!r} is not a host name. {HOSTS}"


@pytest.mark.parametrize("account", ["", "alice@", "@lab", "alice@-lab", "../x@lab", "a b@lab", "alice@la/b"])
def test_bad_account_names_are_refused(account: str) -> None:
    with pytest.raises(BadInput) as refused:
        build(account)
    assert str(refused.value) == f"inventory: {account!r} cannot be an account's name. Call it USER@CLUSTER"


def test_account_without_a_user_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        build("lab")
    assert str(refused.value) == "hpc_user: is not set, and 'lab' names no user. Call it USER@lab"


@pytest.mark.parametrize("route", ["node", "step", "lan", "reverse"])
def test_routes_over_ssh_on_this_machine_are_refused(route: str) -> None:
    with pytest.raises(BadInput) as refused:
        Cluster.from_facts({"ansible_connection": "local", "hpc_route": route}, account="local")
    assert str(refused.value) == f"hpc_route: '{route}' needs ssh, and this account is local. Use auto or local"


@pytest.mark.parametrize(
    ("facts", "places", "where"),
    [
        ({"hpc_route": "nod"}, {"hpc_route": "/i/group_vars/lab.yml:3"}, "/i/group_vars/lab.yml:3: hpc_route: "),
        ({"hpc_user": "-l"}, {"hpc_route": "/i/group_vars/lab.yml:3"}, "hpc_user: "),
        ({"ansible_user": "root"}, {"ansible_user": "/i/hosts.ini:2"}, "/i/hosts.ini:2: hpc_user: "),
        ({"hpc_gatways": []}, {"hpc_gatways": "/i/h.yml:9"}, "/i/h.yml:9: hpc_gatways: "),
    ],
)
def test_what_is_wrong_is_told_with_its_file_and_line(
    facts: dict[str, Any], places: dict[str, str], where: str
) -> None:
    with pytest.raises(BadInput) as refused:
        Cluster.from_facts({**FACTS, **facts}, account="alice@lab", origins=places)
    assert str(refused.value).startswith(where)


def test_routes_and_detaches_that_fit_their_scheduler() -> None:
    slurm, none = {"hpc_scheduler": "slurm"}, {"hpc_scheduler": "none"}
    assert [build(**slurm, hpc_route=route).route for route in ("step", "lan", "reverse")] == ["step", "lan", "reverse"]
    assert build(**none, hpc_route="lan").route == "lan"
    assert [build(**none, hpc_detach=name).detach for name in ("tmux", "screen")] == ["tmux", "screen"]


def test_what_a_site_calls_things() -> None:
    facts = {"hpc_parallel_environment": "sharedmem", "hpc_memory_resource": "h_rss", "hpc_memory_per": "job"}
    cluster = build(hpc_scheduler="sge", **facts)
    assert cluster.to_dict()["site"] == {name[len("hpc_"):]: value for name, value in facts.items()}
    assert build(hpc_scheduler="pbs", hpc_gpu_resource="").site == ()


def test_local_account_with_a_scheduler_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        Cluster.from_facts({"ansible_connection": "local", "hpc_scheduler": "slurm"}, account="local")
    assert str(refused.value) == (
        "hpc_scheduler: 'slurm' cannot be used by an account with ansible_connection: local. "
        "This version reaches a scheduler by ssh alone: remove ansible_connection, or write none"
    )

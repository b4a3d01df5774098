# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import cause, explain, explain_silence

PIN = "SHA256:" + "A" * 43
CLUSTER = Cluster(
    name="lab", account="alice@lab", user="alice", login_hosts=("login",), scheduler="slurm",
    gateways=(Gateway("gate", "bob", 2201), Gateway("inner", "alice")), host_keys=(("gate", (Pin(PIN, "RSA"),)),),
)
JUMP = "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n"
CLOSED = (
    "closed the connection before {} was let in. It may refuse this address or too many logins at once, "
    "or the account may have expired: try later, then ask the site"
)
CANNOT = "Try later, or ask the site whether it is down"
NETWORK = "Check this machine's network or VPN, and whether the host is up"
KEYS = "Check the user's name; a key with a passphrase must be in the agent (ssh-add)"

NO_NC = "which relay: nc in hpc_gateways needs. Ask the site to install it, or try relay: jump"

# What OpenSSH 9.2 prints, and what the user is told.
TABLE = [
    ("ssh: Could not resolve hostname gate: Name or service not known\r\n" + 2 * JUMP,
     "gateway gate: the name is not known here. Check hpc_gateways, and this machine's network or VPN"),
    ("ssh: Could not resolve hostname login: Temporary failure in name resolution\r\n",
     "login host login: the name is not known here. Check hpc_login_hosts, and this machine's network or VPN"),
    ("ssh: connect to host gate port 2201: Connection refused\r\n" + 2 * JUMP,
     f"gateway gate: port 2201 cannot be reached from this machine (Connection refused). {NETWORK}"),
    ("ssh: connect to host gate port 2201: Connection timed out\r\n",
     f"gateway gate: port 2201 cannot be reached from this machine (Connection timed out). {NETWORK}"),
    ("ssh: connect to host gate port 2201: No route to host\r\n",
     f"gateway gate: port 2201 cannot be reached from this machine (No route to host). {NETWORK}"),
    ("channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n" + JUMP,
     f"login host login cannot be reached from inner (Connection refused). {CANNOT}"),
    ("channel 0: open failed: connect failed: Connection timed out\r\nstdio forwarding failed\r\n" + 2 * JUMP,
     f"gateway inner cannot be reached from gate (Connection timed out). {CANNOT}"),
    ("channel 0: open failed: connect failed: No route to host\r\nstdio forwarding failed\r\n" + JUMP,
     f"login host login cannot be reached from inner (No route to host). {CANNOT}"),
    ("channel 0: open failed: connect failed: Name or service not known\r\nstdio forwarding failed\r\n" + JUMP,
     "login host login: the name is not known from inner (Name or service not known). Check hpc_login_hosts"),
    ("channel 0: open failed: administratively prohibited: open failed\r\nstdio forwarding failed\r\n" + 2 * JUMP,
     "gateway inner cannot be reached from gate, which refuses to pass connections on. If one may run nc there, "
     "say relay: nc for it in hpc_gateways"),
    ("bash: line 1: exec: nc: not found\n" + JUMP, f"gateway inner has no nc, {NO_NC}"),
    ("sh: 1: exec: nc: not found\n" + 2 * JUMP, f"gateway gate has no nc, {NO_NC}"),
    ("nc: Command not found.\n" + JUMP, f"gateway inner has no nc, {NO_NC}"),
    ("zsh:1: command not found: nc\n" + JUMP, f"gateway inner has no nc, {NO_NC}"),
    ("bob@gate: Permission denied (publickey).\r\n" + 2 * JUMP,
     "gateway gate: bob was not let in: the account is not known there, or the key or password is not accepted "
     f"(it takes: publickey). {KEYS}"),
    ("alice@login: Permission denied (publickey,password,keyboard-interactive).\r\n",
     "login host login: alice was not let in: the account is not known there, or the key or password is not accepted "
     "(it takes: publickey, password, keyboard-interactive). With a password or a code: run hpc-jupyter in "
     f"a terminal. To have a key let in: ansible-playbook hpc.jupyter.onboard --ask-pass. {KEYS}"),
    (f"hpc.jupyter: [gate]:2201 presents ssh-ed25519 {PIN}, which is not pinned\n"
     "No ED25519 host key is known for [gate]:2201 and you have requested strict checking.\r\n"
     "Host key verification failed.\r\n" + 2 * JUMP,
     f"gateway gate presents the ED25519 key {PIN}, which is not pinned (pinned: {PIN} (RSA)). Nothing was sent. "
     "Either this is not the right host, or its key is new: compare with what the site publishes, then correct "
     "hpc_host_keys"),
    ("No ECDSA host key is known for inner and you have requested strict checking.\r\n",
     "gateway inner: its ECDSA host key is not known. Pin the fingerprint that the site publishes: "
     'hpc_host_keys: {inner: ["SHA256:…"]}'),
    ("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n"
     f"The fingerprint for the RSA key sent by the remote host is\n{PIN}.\r\n"
     "Offending RSA key in /home/a b/.ssh/known_hosts:7\r\n"
     "Host key for inner has changed and you have requested strict checking.\r\nHost key verification failed.\r\n",
     f"gateway inner: the host key has changed. It presents the RSA key {PIN}. Another one is in "
     "/home/a b/.ssh/known_hosts, line 7. Nothing was sent. Compare with what the site publishes, then pin it in "
     "hpc_host_keys"),
    ("Received disconnect from 192.0.2.1 port 2201:2: Too many authentication failures\r\n"
     "Disconnected from 192.0.2.1 port 2201\r\n" + 2 * JUMP,
     "gateway gate: too many keys were tried for bob. Name the right one in ~/.ssh/config: Host gate, IdentityFile, "
     "IdentitiesOnly yes"),
    ("Received disconnect from UNKNOWN port 65535:2: Too many authentication failures\r\n"
     "Disconnected from UNKNOWN port 65535\r\n" + JUMP,
     "gateway inner: too many keys were tried for alice. Name the right one in ~/.ssh/config: Host inner, "
     "IdentityFile, IdentitiesOnly yes"),
    ("kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 192.0.2.1 port 2201\r\n",
     "gateway gate " + CLOSED.format("bob")),
    (JUMP, "login host login " + CLOSED.format("alice")),
    (2 * JUMP, "gateway inner " + CLOSED.format("alice")),
    ("Your account has expired; please contact your system administrator.\r\n" + JUMP,
     "login host login says: Your account has expired; please contact your system administrator. Log in once with "
     "plain ssh, or ask the site"),
    ("Connection timed out during banner exchange\r\nConnection to UNKNOWN port 65535 timed out\r\n",
     "login host login accepts connections but does not answer. It may be overloaded: try later"),
    ("Unable to negotiate with 192.0.2.1 port 2201: no matching host key type found. Their offer: ssh-dss\r\n",
     "gateway gate: this ssh and the host share no host key type (it offers: ssh-dss). Ask the site"),
    ("Stdio forwarding request failed: Session open refused by peer\r\n"
     "kex_exchange_identification: Connection closed by remote host\r\n" + JUMP,
     "login host login cannot be reached from inner: nothing answers there, or connections are not passed on. "
     "Try later"),
    ("mux_client_request_session: session request failed: Session open refused by peer\r\n",
     "login host login allows no more sessions on one connection (MaxSessions). Close some, or wait"),
    ("Bad owner or permissions on /home/alice/.ssh/config\r\n",
     "ssh refuses /home/alice/.ssh/config: others could write it. Run: chmod go-w /home/alice/.ssh/config"),
    ("/home/a/.ssh/config: line 3: Bad configuration option: fro\r\n/home/a/.ssh/config: terminating, 1 bad "
     "configuration options\r\n",
     "ssh does not understand its configuration: /home/a/.ssh/config: line 3: Bad configuration option: fro. "
     "Correct that line"),
    ('Authenticated to gate ([192.0.2.1]:2201) using "publickey".\r\nsomething quite new\r\n',
     "ssh failed: something quite new"),
    ("", "ssh failed: it gave no reason"),
]


@pytest.mark.parametrize(("stderr", "message"), TABLE)
def test_every_failure_names_the_hop(stderr: str, message: str) -> None:
    assert explain(stderr, CLUSTER) == f"lab: {message}"


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("channel 0: open failed: connect failed: No route to host\r\nstdio forwarding failed\r\n" + JUMP,
         f"lab: node c2 cannot be reached from login (No route to host). {CANNOT}"),
        ("No ED25519 host key is known for c2 and you have requested strict checking.\r\n",
         "lab: node c2: its ED25519 key is not in the session's record. Start the session again"),
        ("alice@c2: Permission denied (publickey).\r\n",
         "lab: node c2: alice was not let in: the account is not known there, or the key or password is not accepted "
         f"(it takes: publickey). {KEYS}"),
    ],
)
def test_the_way_may_go_on_to_a_node(stderr: str, message: str) -> None:
    assert explain(stderr, CLUSTER, node="c2") == message


RECORDED = "lab: the session's login host login7"


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("No ED25519 host key is known for login7 and you have requested strict checking.\r\n",
         f"{RECORDED}: its ED25519 key is not in the session's record. Start the session again"),
        ("Host key for login7 has changed and you have requested strict checking.\r\n",
         f"{RECORDED}: the host key has changed. Nothing was sent. It is not the one in the session's record: ask the "
         "site, or start the session again"),
        ("Stdio forwarding request failed: Session open refused by peer\r\n" + JUMP,
         f"{RECORDED} cannot be reached from login: nothing answers there, or connections are not passed on. "
         "Try later"),
    ],
)
def test_the_way_may_go_on_to_the_login_host_of_a_session(stderr: str, message: str) -> None:
    assert explain(stderr, CLUSTER, login_host="login7") == message


def test_where_the_session_is_behind_the_name_there_is_no_further_hop() -> None:
    told = explain("Stdio forwarding request failed: x\r\n" + JUMP, CLUSTER, login_host="login")
    assert told.startswith("lab: login host login cannot be reached from ")


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("hpc-session: session default does not run\r\n" + JUMP, "hpc-session: session default does not run"),
        ("srun: error: Unable to create step for job 7\r\n" + JUMP, "srun: error: Unable to create step for job 7"),
    ],
)
def test_what_starts_a_step_is_heard(stderr: str, said: str) -> None:
    told = explain(stderr, CLUSTER, node="c2")
    assert told == f"lab: node c2: {said}. See the session's log, or use another route (hpc_route)"


@pytest.mark.parametrize(("route", "more"), [("auto", ""), ("node", ", or let hpc_route: auto find another route")])
def test_a_node_that_takes_no_ssh_has_other_routes(route: str, more: str) -> None:
    told = explain("Stdio forwarding request failed: x\r\n", replace(CLUSTER, route=route), node="c2")
    assert told.endswith(f"are not passed on. Try later{more}")


@pytest.mark.parametrize(
    ("opened", "hop"), [(0, "gateway gate did not let bob"), (2, "login host login did not let alice")]
)
def test_silence_names_the_hop_after_the_last_that_let_us_in(opened: int, hop: str) -> None:
    told = explain_silence("Authenticated to x using y\r\n" * opened, CLUSTER, seconds=60)
    assert told == f"lab: {hop} in within 60 seconds. Check that it is up, and this machine's network or VPN"


def test_what_a_host_says_in_passing_is_no_cause() -> None:
    banner = "Permission denied (to all who have no account). Host key verification failed? Call us.\r\n"
    told = explain(banner + "ssh: connect to host gate port 2201: Connection refused\r\n", CLUSTER)
    assert told.startswith("lab: gateway gate: port 2201 cannot be reached")


@pytest.mark.parametrize(("stderr", "word"), [
    ("", ""),
    ("ssh: connect to host gate port 2201: No route to host\r\n" + JUMP, ""),
    ("channel 0: open failed: connect failed: No route to host\r\nstdio forwarding failed\r\n" + JUMP, ""),
    (JUMP, ""),
    ("mux_client_request_session: session request failed: Session open refused by peer\r\n", "full"),
    ("channel 0: open failed: connect failed: open failed\r\n", "full"),
    ("alice@login: Permission denied (publickey).\r\n", "denied"),
    ("Received disconnect from 10.1.0.2 port 22:2: Too many authentication failures\r\n" + JUMP, "denied"),
    ("Your account has expired; please contact your system administrator.\r\n" + JUMP, "denied"),
    (f"hpc.jupyter: gate presents ssh-ed25519 {PIN}, which is not pinned\n" + JUMP, "untrusted"),
    ("No ED25519 host key is known for login and you have requested strict checking.\r\n", "untrusted"),
    ("kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 10.1.0.2 port 22\r\n",
     "turned away"),
    ("kex_exchange_identification: banner line contains invalid characters\r\nNot allowed at this time\r\n" + JUMP,
     "turned away"),
])
def test_what_must_not_be_tried_again_at_once(stderr: str, word: str) -> None:
    assert cause(stderr) == word

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of the way to an account from the controller: names, ports, host keys, who lets one in."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.doctor import FAIL, OK, WARN, Check
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import UNTRUSTED, Hop, hops

_AUTHENTICATED = re.compile(r'(?m)^Authenticated to (\S+) .*using "([^"]+)"')
_SECONDS = 5.0
_SKEW_SECONDS = 60.0
_BAD_SKEW_SECONDS = 600.0
_SHOWN = 60


def refused(message: str, *, name: str) -> Check:
    """A failure's message, whose first sentence says what is wrong, and the others what to do."""
    text, _dot, remedy = message.partition(". ")
    return Check(name, FAIL, text, remedy)


def first_hop(cluster: Cluster) -> list[Check]:
    """Whether the first host's name is known here, and its port open; further hosts are asked for behind it."""
    hop = hops(cluster)[0]
    fact = "hpc_gateways" if hop.kind == "gateway" else "hpc_login_hosts"
    remedy = f"Check {fact}, and this machine's network or VPN"
    try:
        found = socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return [Check("name", FAIL, f"{hop}: the name is not known here ({error.strerror})", remedy)]
    address = str(found[0][4][0])
    resolved = Check("name", OK, f"{hop} is {address}")
    try:
        with socket.create_connection((hop.host, hop.port), timeout=_SECONDS):
            return [resolved, Check("port", OK, f"{hop}: port {hop.port} is open")]
    except OSError as error:
        remedy = "Check this machine's network or VPN, and whether the host is up"
        closed = f"{hop}: port {hop.port} cannot be reached ({error.strerror or error})"
        return [resolved, Check("port", FAIL, closed, remedy)]


def let_in(cluster: Cluster, said: str, *, opened: bool) -> list[Check]:
    """Who let us in and how, by what ssh ``said`` on the way; a login that was open already says nothing of that."""
    way = hops(cluster)
    if not opened:
        return [*_keys(cluster, way), Check("login", OK, f"logged in to {way[-1]}: that connection was open already")]
    methods = dict(_AUTHENTICATED.findall(said))
    known = [hop for hop in way if hop.host in methods]
    return [*_keys(cluster, way), *(_entered(hop, methods[hop.host]) for hop in known)]


def kept_out(cluster: Cluster, message: str, *, cause: str, said: str) -> list[Check]:
    """How far one gets, and why not further."""
    methods = dict(_AUTHENTICATED.findall(said))
    passed = [hop for hop in hops(cluster) if hop.host in methods]
    name = "host key" if cause == UNTRUSTED else "login"
    failure = refused(message.removeprefix(f"{cluster.name}: "), name=name)
    return [*_keys(cluster, passed), *(_entered(hop, methods[hop.host]) for hop in passed), failure]


def shell(noise: str) -> Check:
    """Whether a login prints something where programs talk to each other."""
    if not noise.strip():
        return Check("shell", OK, "the login shell prints nothing of its own")
    first = noise.strip().splitlines()[0][:_SHOWN]
    return Check(
        "shell", WARN, f"the login shell prints {len(noise.strip())} characters by itself, beginning with {first!r}",
        "This breaks scp, sftp and rsync, not this collection: let ~/.bashrc print only where [ -t 1 ] holds",
    )


def clock(now: float, *, before: float, after: float) -> Check:
    """Whether the account's clock was ``now`` between ``before`` and ``after`` here."""
    skew = max(before - now, now - after, 0.0)
    state = FAIL if skew > _BAD_SKEW_SECONDS else WARN if skew > _SKEW_SECONDS else OK
    way = "ahead of" if now > after else "behind"
    text = f"the account's clock is {skew:.0f} seconds {way} this machine's" if skew >= 1 else "both clocks agree"
    remedy = "Set this machine's clock (timedatectl), or tell the site: certificates and one-time codes need it right"
    return Check("clock", state, text, "" if state == OK else remedy)


def _keys(cluster: Cluster, way: Sequence[Hop]) -> list[Check]:
    return [_key(cluster, hop) for hop in way]


def _key(cluster: Cluster, hop: Hop) -> Check:
    if cluster.pins(hop.host):
        return Check("host key", OK, f"{hop} presents a key that is pinned")
    return Check(
        "host key", WARN, f"{hop}: no key is pinned; what it presents is known from ~/.ssh/known_hosts alone",
        f"Pin what the site publishes in hpc_host_keys, under {hop.host}",
    )


def _entered(hop: Hop, method: str) -> Check:
    return Check("login", OK, f"{hop} lets {hop.user} in by {method}")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From OpenSSH's own words to: which hop, what failed there, what to do."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

DENIED = "denied"
"""Nobody was let in: trying again would only be punished."""

UNTRUSTED = "untrusted"
"""It may be another host than the one that is meant."""

REFUSALS = (DENIED, UNTRUSTED)

FULL = "full"
"""The host lets us in, but takes no more sessions on this connection."""

TURNED_AWAY = "turned away"
"""The host closes connections at once: it has too many of them, or punishes this address for earlier ones."""

_HIDDEN = re.compile(r"debug\d: |Warning: Permanently added |Transferred: |Bytes per second: |Authenticated to ")
_VIA = re.compile(r"(?m)^(?:Connection (?:closed|reset) by|(?:ssh_dispatch_run_fatal: )?Connection to) UNKNOWN ")
_RECORDED = "the session's login host"
_DIRECT = re.compile(r"(?m)^Connection (?:closed|reset) by (?!UNKNOWN)")
_BANNER = re.compile(r"(?i)not allowed at this time|exceeded maxstartups")
_OPENED = re.compile(r"(?m)^Authenticated to ")


@dataclass(frozen=True)
class Hop:
    """One host on the way, as the user knows it."""

    kind: str
    host: str
    user: str
    port: int

    def __str__(self) -> str:
        return f"{self.kind} {self.host}"


def hops(cluster: Cluster, *, node: str = "", login_host: str = "") -> list[Hop]:
    """The way to the login host, or on to ``node`` or to the ``login_host`` that a session depends on, in order."""
    gateways = [Hop("gateway", item.host, item.user, item.port) for item in cluster.gateways]
    login = Hop("login host", cluster.login_hosts[0], cluster.user, cluster.login_port)
    further = [Hop("node", node, cluster.user, 22)] if node else []
    if login_host and login_host not in cluster.login_hosts:
        further = [Hop(_RECORDED, login_host, cluster.user, cluster.login_port)]
    return [*gateways, login, *further]


def explain(stderr: str, cluster: Cluster, *, node: str = "", login_host: str = "", asked: bool = False) -> str:
    """One message for the user out of what ssh printed on its way to the login host, or on to ``node`` or to the
    ``login_host`` that a session depends on.

    ``asked`` says that a password could be given.
    """
    text = stderr.replace("\r", "")
    way = hops(cluster, node=node, login_host=login_host)
    match = _match(text)
    if match:
        return f"{cluster.name}: {match[1](_Case(match[0], text, cluster, way, asked))}"
    lines = [line for line in text.splitlines() if line.strip() and not _HIDDEN.match(line)]
    return f"{cluster.name}: ssh failed: {lines[-1].strip() if lines else 'it gave no reason'}"


def cause(stderr: str) -> str:
    """``DENIED``, ``UNTRUSTED``, ``TURNED_AWAY`` or ``FULL``: why trying again at once is no good; else nothing."""
    text = stderr.replace("\r", "")
    match = _match(text)
    if match and match[1] is _closed and not (_DIRECT.search(text) or _BANNER.search(text)):
        return ""
    return _CAUSES.get(match[1], "") if match else ""


def closed_early(stderr: str) -> bool:
    """Whether a hop has closed the connection before anybody was let in, as one does to which too many come at once."""
    match = _match(stderr.replace("\r", ""))
    return match is not None and match[1] is _closed


def explain_silence(stderr: str, cluster: Cluster, *, seconds: float) -> str:
    """The message for a way on which nobody answered in time; ``stderr`` names the hops that let us in."""
    way = hops(cluster)
    hop = way[min(len(_OPENED.findall(stderr)), len(way) - 1)]
    return (
        f"{cluster.name}: {hop} did not let {hop.user} in within {seconds:g} seconds. "
        "Check that it is up, and this machine's network or VPN"
    )


def _match(text: str) -> tuple[re.Match[str], Callable[[_Case], str]] | None:
    matches = ((pattern.search(text), tell) for pattern, tell in _TABLE)
    return next(((found, tell) for found, tell in matches if found), None)


@dataclass(frozen=True)
class _Case:
    found: re.Match[str]
    text: str
    cluster: Cluster
    way: list[Hop]
    asked: bool

    def hop(self, host: str, *, user: str = "", port: str = "") -> Hop:
        """The hop called ``host``; of several the one that fits ``user`` and ``port`` best."""
        named = [hop for hop in self.way if hop.host == host]
        if not named:
            return Hop("host", host, user, 0)
        return max(named, key=lambda hop: (hop.user == user) + (str(hop.port) == port))

    def behind(self) -> Hop:
        """The hop whose connection broke: every ssh from it on to the end of the way says that its jump ended."""
        if _DIRECT.search(self.text):
            return self.way[0]
        return self.way[max(0, len(self.way) - max(1, len(_VIA.findall(self.text))))]

    def before(self, hop: Hop) -> str:
        """Where the connection to ``hop`` starts."""
        index = self.way.index(hop) if hop in self.way else 0
        return f"from {self.way[index - 1].host}" if index else "from this machine"


def _own_config(case: _Case) -> str:
    return f"ssh refuses {case.found[1]}: others could write it. Run: chmod go-w {case.found[1]}"


def _bad_option(case: _Case) -> str:
    return f"ssh does not understand its configuration: {case.found[0].strip()}. Correct that line"


def _not_pinned(case: _Case) -> str:
    shown, kind, presented = case.found.groups()
    host, port = _split(shown)
    hop = case.hop(host, port=port)
    pins = ", ".join(str(pin) for pin in case.cluster.pins(hop.host))
    return (
        f"{hop} presents the {_kind(kind)} key {presented}, which is not pinned (pinned: {pins}). "
        "Nothing was sent. Either this is not the right host, or its key is new: compare with what the site publishes, "
        "then correct hpc_host_keys"
    )


def _changed(case: _Case) -> str:
    host, port = _split(case.found[1])
    presented = re.search(r"(\S+) key sent by the remote host is\s+(SHA256:\S+?)\.?\s", case.text)
    offending = re.search(r"Offending \S+ key in (.+):(\d+)", case.text)
    shown = f" It presents the {presented[1]} key {presented[2]}." if presented else ""
    known = f" Another one is in {offending[1]}, line {offending[2]}{_known(*offending.groups())}." if offending else ""
    hop = case.hop(host, port=port)
    remedy = "Compare with what the site publishes, then pin it in hpc_host_keys"
    if hop.kind not in ("gateway", "login host"):
        remedy = "It is not the one in the session's record: ask the site, or start the session again"
    return f"{hop}: the host key has changed.{shown}{known} Nothing was sent. {remedy}"


def _known(path: str, line: str) -> str:
    """The fingerprint of the key in that line, as ssh shows fingerprints."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            words = stream.read().splitlines()[int(line) - 1].split()
        key = next(word for word in words if word.startswith("AAAA"))
        digest = hashlib.sha256(base64.b64decode(key, validate=True)).digest()
    except (OSError, ValueError, IndexError, StopIteration):
        return ""
    return f": SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _no_key(case: _Case) -> str:
    kind, shown = case.found.groups()
    host, port = _split(shown)
    hop = case.hop(host, port=port)
    if hop.kind not in ("gateway", "login host"):
        return f"{hop}: its {_kind(kind)} key is not in the session's record. Start the session again"
    return (
        f"{hop}: its {_kind(kind)} host key is not known. Pin the fingerprint that the site publishes: "
        f'hpc_host_keys: {{{hop.host}: ["SHA256:…"]}}'
    )


def _revoked(case: _Case) -> str:
    return f"{case.hop(_split(case.found[1])[0])}: its host key is revoked. Ask the site"


def _unresolved(case: _Case) -> str:
    hop = case.hop(case.found[1])
    fact = "hpc_gateways" if hop.kind == "gateway" else "hpc_login_hosts"
    return f"{hop}: the name is not known here. Check {fact}, and this machine's network or VPN"


def _unreached(case: _Case) -> str:
    host, port, reason = case.found.groups()
    hop = case.hop(host, port=port)
    return f"{hop}: port {port} cannot be reached from this machine ({reason.strip()}). {_NETWORK}"


def _not_passed_on(case: _Case) -> str:
    hop = case.behind()
    start = case.before(hop)
    if case.found[1] == "administratively prohibited":
        index = case.way.index(hop)
        gateway = index and case.way[index - 1].kind == "gateway"
        do = "If one may run nc there, say relay: nc for it in hpc_gateways" if gateway else "Ask the site"
        return f"{hop} cannot be reached {start}, which refuses to pass connections on. {do}"
    if re.search(r"(?i)name|resol|address associated", case.found[2]):
        return f"{hop}: the name is not known {start} ({case.found[2].strip()}). Check hpc_login_hosts"
    return f"{hop} cannot be reached {start} ({case.found[2].strip()}). Try later, or ask the site whether it is down"


def _no_nc(case: _Case) -> str:
    gateway = case.way[max(0, case.way.index(case.behind()) - 1)]
    return f"{gateway} has no nc, which relay: nc in hpc_gateways needs. Ask the site to install it, or try relay: jump"


def _account_said(case: _Case) -> str:
    return f"{case.way[-1]}: {case.found[0].strip()}. See the session's log, or use another route (hpc_route)"


def _too_many(case: _Case) -> str:
    via = case.found[1] == "UNKNOWN"
    hop = case.way[len(case.way) - 1 - len(_VIA.findall(case.text))] if via else case.way[0]
    return (
        f"{hop}: too many keys were tried for {hop.user}. Name the right one in ~/.ssh/config: "
        f"Host {hop.host}, IdentityFile, IdentitiesOnly yes"
    )


_ASKING = (
    " With a password or a code: run hpc-jupyter in a terminal. "
    "To have a key let in: ansible-playbook hpc.jupyter.onboard --ask-pass."
)


def _denied(case: _Case) -> str:
    user, host, methods = case.found.groups()
    hop = case.hop(host, user=user)
    takes = methods.replace(",", ", ")
    asks = not case.asked and ("password" in methods or "keyboard-interactive" in methods)
    return (
        f"{hop}: {user} was not let in: the account is not known there, or the key or password is not accepted "
        f"(it takes: {takes}).{_ASKING if asks else ''} Check the user's name; a key with a passphrase must be in the "
        "agent (ssh-add)"
    )


def _expired(case: _Case) -> str:
    said = case.found[0].strip().rstrip(".")
    return f"{case.behind()} says: {said}. Log in once with plain ssh, or ask the site"


def _no_common(case: _Case) -> str:
    address, what, offer = case.found.groups()
    hop = case.behind() if address == "UNKNOWN" else case.way[0]
    return f"{hop}: this ssh and the host share no {what} (it offers: {offer.strip()}). Ask the site"


def _not_led_on(case: _Case) -> str:
    hop = case.way[-1]
    fixed = hop.kind == "node" and case.cluster.route != "auto"
    other = ", or let hpc_route: auto find another route" if fixed else ""
    return (
        f"{hop} cannot be reached {case.before(hop)}: nothing answers there, or connections are not passed on. "
        f"Try later{other}"
    )


def _sessions(case: _Case) -> str:
    return f"{case.way[-1]} allows no more sessions on one connection (MaxSessions). Close some, or wait"


def _silent(case: _Case) -> str:
    return f"{case.behind()} accepts connections but does not answer. It may be overloaded: try later"


def _closed(case: _Case) -> str:
    hop = case.behind()
    return (
        f"{hop} closed the connection before {hop.user} was let in. It may refuse this address or too many logins at "
        "once, or the account may have expired: try later, then ask the site"
    )


def _split(shown: str) -> tuple[str, str]:
    """Host and port out of ``host`` or ``[host]:port``, as ssh shows them."""
    found = re.fullmatch(r"\[(.+)\]:(\d+)", shown)
    return (found[1], found[2]) if found else (shown, "22")


def _kind(kind: str) -> str:
    """``ED25519`` for ``ssh-ed25519``, as fingerprints are published."""
    return next((name for name in ("ED25519", "ECDSA", "RSA") if name in kind.upper()), kind)


_NETWORK = "Check this machine's network or VPN, and whether the host is up"

_TABLE: list[tuple[re.Pattern[str], Callable[[_Case], str]]] = [
    (re.compile(r"(?m)^(?:hpc-session|srun): .*$"), _account_said),
    (re.compile(r"(?m)^Bad owner or permissions on (\S+)"), _own_config),
    (re.compile(r"(?m)^.*Bad configuration option: .*$|^.*terminating, \d+ bad configuration.*$"), _bad_option),
    (re.compile(r"(?m)^hpc\.jupyter: (\S+) presents (\S+) (SHA256:\S+), which is not pinned"), _not_pinned),
    (re.compile(r"(?m)^(?:\S+ )?[Hh]ost key for (\S+) has changed and you have requested strict"), _changed),
    (re.compile(r"(?m)^No (\S+) host key is known for (\S+) and you have requested strict"), _no_key),
    (re.compile(r"(?m)^(?:\S+ )?[Hh]ost key for (\S+) (?:is|was) revoked"), _revoked),
    (re.compile(r"(?m)^ssh: Could not resolve hostname (\S+?):? "), _unresolved),
    (re.compile(r"(?m)^ssh: connect to host (\S+) port (\d+): (.*)$"), _unreached),
    (re.compile(r"(?m)\bnc: (?:[Cc]ommand )?not found|command not found: nc$"), _no_nc),
    (re.compile(r"(?m)^mux_client_request_session: .*Session open refused by peer"), _sessions),
    (re.compile(r"(?m)^channel \d+: open failed: connect failed: open failed\s*$(?!\s+stdio)"), _sessions),
    (re.compile(r"(?m)^channel \d+: open failed: ([a-z ]+): (.*)$"), _not_passed_on),
    (re.compile(r"(?m)^Received disconnect from (\S+) port .*Too many authentication failures"), _too_many),
    (re.compile(r"(?m)^(\S+)@(\S+): Permission denied \(([^)]*)\)"), _denied),
    (re.compile(r"(?m)^(?:WARNING: )?Your (?:account|password) has expired.*$"), _expired),
    (re.compile(r"(?m)^Unable to negotiate with (\S+) .*: no matching (.*) found\. Their offer: (.*)$"), _no_common),
    (re.compile(r"(?m)^Stdio forwarding request failed: "), _not_led_on),
    (re.compile(r"Session open refused by peer"), _sessions),
    (re.compile(r"(?m)^Connection timed out during banner exchange|^Connection to \S+ port \d+ timed out"), _silent),
    (re.compile(r"(?m)^(?:kex_exchange_identification: |Connection (?:closed|reset) by |ssh_dispatch_run_f)"), _closed),
]
"""Causes before their consequences: the first that is found is told."""

_CAUSES: dict[Callable[[_Case], str], str] = {
    _denied: DENIED, _too_many: DENIED, _expired: DENIED,
    _not_pinned: UNTRUSTED, _changed: UNTRUSTED, _no_key: UNTRUSTED, _revoked: UNTRUSTED,
    _closed: TURNED_AWAY, _sessions: FULL,
}

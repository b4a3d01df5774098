# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's facts, checked before anything is contacted: inventory variables in, a ``Cluster`` out."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import default_root
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import SCHEDULERS
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import OFFERS

ROUTES = ("auto", *OFFERS)
RELAYS = ("jump", "nc")
DETACHES = ("setsid", "tmux", "screen")
FACTS = (
    "hpc_detach", "hpc_gateways", "hpc_gpu_resource", "hpc_host_keys", "hpc_jupyterhub_url", "hpc_login_hosts",
    "hpc_login_port", "hpc_memory_per", "hpc_memory_resource", "hpc_parallel_environment", "hpc_python", "hpc_root",
    "hpc_route", "hpc_scheduler", "hpc_user", "hpc_wheelhouse",
)
"""Every cluster fact there is; another variable called ``hpc_…`` is taken for a misspelt one."""

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
"""What C libraries take for an IPv4 address, also where it is none in full: 0 is this machine, and 127.1 too."""
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_PIN = re.compile(r"(SHA256:[A-Za-z0-9+/]{43})(?: \((RSA|ECDSA|ED25519)\))?")
_MD5 = re.compile(r"(?:MD5:)?(?:[0-9A-Fa-f]{2}:){15}[0-9A-Fa-f]{2}")
_PATH = re.compile(r"(?:~/|/)[A-Za-z0-9._/+@=,:-]*[A-Za-z0-9_]")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[A-Za-z0-9._~/%+=@-]*)?")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
MEMORY_PER = ("slot", "job")
SITES: Mapping[str, tuple[str, ...]] = {
    "hpc_parallel_environment": ("sge",), "hpc_memory_resource": ("sge",), "hpc_memory_per": ("sge", "lsf"),
    "hpc_gpu_resource": ("sge", "pbs"),
}
"""Facts that give a thing the name that it has at one site, and the schedulers that ask for it by name."""
_GATEWAY_KEYS = ("host", "user", "port", "relay")
_WHERE = "letters, digits, '.', '_' and '-', beginning with a letter or a digit"


@dataclass(frozen=True)
class Gateway:
    """One host on the way; ``relay`` is how it passes connections on: ``jump`` (ssh -W) or ``nc``."""

    host: str
    user: str
    port: int = 22
    relay: str = "jump"


@dataclass(frozen=True)
class Pin:
    """A published fingerprint, ``SHA256:…``; ``kind`` is RSA, ECDSA or ED25519, empty where it was not said."""

    fingerprint: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.kind})" if self.kind else self.fingerprint


@dataclass(frozen=True)
class Cluster:
    """One account's cluster as the inventory describes it.

    ``local`` accounts are on this machine: no ssh, no gateways, no login hosts. ``host_keys`` are pairs of host name
    and pins; ``root`` is the account's directory there, absolute or below ``~/``. So are ``python``, which runs
    Ansible's modules if it is not to be looked for, and ``wheelhouse``, if accounts share one. ``site`` are pairs of
    a fact of ``SITES``, without ``hpc_``, and its value.
    """

    name: str
    account: str
    user: str
    local: bool = False
    gateways: tuple[Gateway, ...] = ()
    login_hosts: tuple[str, ...] = ()
    login_port: int = 22
    host_keys: tuple[tuple[str, tuple[Pin, ...]], ...] = ()
    scheduler: str = "none"
    route: str = "auto"
    root: str = ""
    jupyterhub_url: str = ""
    detach: str = "setsid"
    python: str = ""
    wheelhouse: str = ""
    site: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_facts(
        cls, facts: Mapping[str, Any], *, account: str, origins: Mapping[str, str] | None = None
    ) -> Cluster:
        """The cluster of ``account``, an inventory host with the variables ``facts``; others than ``hpc_…`` that
        count are ``ansible_connection`` and ``ansible_user``. Raises ``BadInput``, which names the place in
        ``origins`` (file and line, by variable) of what is wrong.
        """
        try:
            return cls._checked(facts, account=account)
        except BadInput as error:
            raise error.at(place(error.field, origins or {})) from None

    @classmethod
    def _checked(cls, facts: Mapping[str, Any], *, account: str) -> Cluster:
        _refuse_unknown(facts)
        name = cluster_name(account)
        local = facts.get("ansible_connection") == "local"
        user = _user_of(facts, account=account, local=local)
        cluster = cls(
            name=name, account=account, user=user, local=local,
            gateways=_gateways(_list("hpc_gateways", facts), user=user),
            login_hosts=tuple(_host("hpc_login_hosts", item) for item in _list("hpc_login_hosts", facts)),
            login_port=_port("hpc_login_port", facts.get("hpc_login_port", 22)),
            host_keys=_host_keys(facts.get("hpc_host_keys")),
            scheduler=_scheduler(facts, local=local),
            route=_route(facts, local=local),
            root=_path("hpc_root", facts.get("hpc_root") or default_root(name), "a directory for the project"),
            jupyterhub_url=_url(facts.get("hpc_jupyterhub_url") or ""),
            detach=_one_of("hpc_detach", facts.get("hpc_detach") or "setsid", DETACHES),
            python=_path("hpc_python", facts.get("hpc_python") or "", "a Python's path"),
            wheelhouse=_path("hpc_wheelhouse", facts.get("hpc_wheelhouse") or "", "a directory for wheels"),
            site=_site(facts),
        )
        _check_way(cluster)
        _check_combinations(cluster)
        return cluster

    def pins(self, host: str) -> tuple[Pin, ...]:
        """The fingerprints pinned for ``host``, none where it has none."""
        return next((pins for name, pins in self.host_keys if name == host), ())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for Ansible and JSON; there is no secret in a cluster."""
        keys = {host: [str(pin) for pin in pins] for host, pins in self.host_keys}
        return {**asdict(self), "host_keys": keys, "site": dict(self.site), "login_hosts": list(self.login_hosts),
                "gateways": [asdict(gateway) for gateway in self.gateways]}


def cluster_name(account: str) -> str:
    """What stands after the last ``@`` of the account's name; the whole name where there is no ``@``."""
    user, at, name = account.rpartition("@")
    if not _HOST.fullmatch(name) or (at and not _is_user(user)):
        raise BadInput("inventory", f"{account!r} cannot be an account's name", hint="Call it USER@CLUSTER")
    return name


def _is_user(value: object) -> bool:
    return isinstance(value, str) and bool(_USER.fullmatch(value)) and ".." not in value


def _refuse_unknown(facts: Mapping[str, Any]) -> None:
    for name in facts:
        if name.startswith("hpc_") and name not in FACTS:
            raise BadInput(name, "is not a cluster fact", hint=_did_you_mean(name, FACTS))


def _did_you_mean(value: object, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(value), list(allowed), n=1)
    return f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(allowed)}"


def _one_of(fact: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"Did you mean {near[0]}?" if near else ""
        raise BadInput(fact, f"{value!r} is not one of {', '.join(allowed)}", hint=hint)
    return str(value)


def _list(fact: str, facts: Mapping[str, Any]) -> list[Any]:
    value = facts.get(fact)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise BadInput(fact, f"{value!r} is not a list", hint="Write it as a YAML list, also where it has one entry")
    return list(value)


def _host(fact: str, value: object) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise BadInput(fact, f"{value!r} is not a host name", hint=f"Allowed are {_WHERE}, at most 253")
    if _NUMBER.fullmatch(value) and not _is_address(value):
        raise BadInput(
            fact, f"{value!r} is a number, which ssh takes for an address",
            hint="Write the host's name, or all of its address",
        )
    return str(value)


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.IPv4Address(text))
    except ValueError:
        return False


def _user(fact: str, value: object) -> str:
    if not _is_user(value):
        raise BadInput(fact, f"{value!r} is not a user name", hint="Allowed are letters, digits and ._@+-, at most 64")
    return str(value)


def _port(fact: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not _PORT.fullmatch(str(value)):
        raise BadInput(fact, f"{value!r} is not a decimal port", hint="Allowed are 1 to 65535")
    if int(value) > 65535:
        raise BadInput(fact, f"{value!r} is not a port", hint="Allowed are 1 to 65535")
    return int(value)


def _user_of(facts: Mapping[str, Any], *, account: str, local: bool) -> str:
    given = facts.get("hpc_user") or facts.get("ansible_user") or account.rpartition("@")[0]
    if not given and not local:
        raise BadInput("hpc_user", f"is not set, and {account!r} names no user", hint=f"Call it USER@{account}")
    user = _user("hpc_user", given) if given else ""
    if user == "root" and not local:
        raise BadInput(
            "hpc_user", f"{account} would log in as root, which is refused on clusters",
            hint="Use a person's own account",
        )
    return user


def _gateways(values: list[Any], *, user: str) -> tuple[Gateway, ...]:
    return tuple(_gateway(value, user=user) for value in values)


def _gateway(value: object, *, user: str) -> Gateway:
    fact = "hpc_gateways"
    if isinstance(value, str):
        value = _split_gateway(value)
    if not isinstance(value, Mapping):
        raise BadInput(fact, f"{value!r} is not a gateway", hint="Write USER@HOST:PORT or {host, user, port, relay}")
    for key in value:
        if key not in _GATEWAY_KEYS:
            raise BadInput(fact, f"{key!r} is not a gateway's key", hint=_did_you_mean(key, _GATEWAY_KEYS))
    return Gateway(
        host=_host(fact, value.get("host")),
        user=_user(fact, value.get("user", user)),
        port=_port(fact, value.get("port", 22)),
        relay=_one_of(fact, value.get("relay", "jump"), RELAYS),
    )


def _split_gateway(text: str) -> dict[str, str]:
    user, at, rest = text.rpartition("@")
    host, colon, port = rest.partition(":")
    return {"host": host, **({"user": user} if at else {}), **({"port": port} if colon else {})}


def _host_keys(value: object) -> tuple[tuple[str, tuple[Pin, ...]], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise BadInput("hpc_host_keys", f"{value!r} is not a mapping", hint='Write HOST: ["SHA256:…"]')
    return tuple((_host("hpc_host_keys", host), _pins(host, pins)) for host, pins in value.items())


def _pins(host: str, values: object) -> tuple[Pin, ...]:
    if not isinstance(values, (list, tuple)) or not values:
        raise BadInput("hpc_host_keys", f"{host}: {values!r} is no list of fingerprints", hint='Write ["SHA256:…"]')
    return tuple(_pin(host, value) for value in values)


def _pin(host: str, value: object) -> Pin:
    text = str(value)
    found = _PIN.fullmatch(text) if isinstance(value, str) else None
    if found:
        return Pin(found[1], found[2] or "")
    if _MD5.fullmatch(text):
        raise BadInput(
            "hpc_host_keys", f"{host}: {text} is an MD5 fingerprint, which no longer proves anything",
            hint="Ask the site for the SHA256 one (ssh-keygen -l -E sha256)",
        )
    raise BadInput(
        "hpc_host_keys", f"{host}: {value!r} is not a fingerprint",
        hint="Allowed is SHA256: and 43 characters of base64, then (RSA), (ECDSA) or (ED25519) if the kind is known",
    )


def _scheduler(facts: Mapping[str, Any], *, local: bool) -> str:
    value = facts.get("hpc_scheduler") or ("none" if local else None)
    if value is None:
        raise BadInput("hpc_scheduler", f"is not set; it is one of {', '.join(SCHEDULERS)}")
    scheduler = _one_of("hpc_scheduler", value, tuple(SCHEDULERS))
    if local and scheduler != "none":
        raise BadInput(
            "hpc_scheduler", f"{scheduler!r} cannot be used by an account with ansible_connection: local",
            hint="This version reaches a scheduler by ssh alone: remove ansible_connection, or write none",
        )
    return scheduler


def _site(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    given = [(fact, facts[fact]) for fact in SITES if facts.get(fact)]
    return tuple((fact[len("hpc_"):], _site_word(fact, value)) for fact, value in given)


def _site_word(fact: str, value: object) -> str:
    if fact == "hpc_memory_per":
        return _one_of(fact, value, MEMORY_PER)
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BadInput(fact, f"{value!r} is not a name", hint="Allowed are letters, digits and _.-, at most 64")
    return value


def _route(facts: Mapping[str, Any], *, local: bool) -> str:
    value = _one_of("hpc_route", facts.get("hpc_route") or "auto", ROUTES)
    if local:
        if value not in ("auto", "local"):
            raise BadInput("hpc_route", f"{value!r} needs ssh, and this account is local", hint="Use auto or local")
        return "local"
    if value == "local":
        others = [route for route in ROUTES if route != "local"]
        raise BadInput("hpc_route", "'local' is for accounts on this machine", hint=f"Use {_either(others)}")
    return value


def _either(values: Sequence[str]) -> str:
    return f"{', '.join(values[:-1])} or {values[-1]}"


def _path(fact: str, value: object, what: str) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not _PATH.fullmatch(value) or ".." in value.split("/"):
        raise BadInput(
            fact, f"{value!r} is not {what}",
            hint="Allowed is a path below / or ~/ of letters, digits and ._+@=,:-",
        )
    return str(value)


def _url(value: object) -> str:
    if not isinstance(value, str) or (value and not _URL.fullmatch(value)):
        raise BadInput("hpc_jupyterhub_url", f"{value!r} is not a web address", hint="It begins with https://")
    return str(value)


def _check_way(cluster: Cluster) -> None:
    if not cluster.local and not cluster.login_hosts:
        raise BadInput("hpc_login_hosts", f"{cluster.name} has no login host", hint="Write [login.example.org]")
    seen: set[tuple[str, int]] = set()
    for gateway in cluster.gateways:
        if (gateway.host, gateway.port) in seen:
            raise BadInput("hpc_gateways", f"{gateway.host}:{gateway.port} is there twice; the way would go in a loop")
        seen.add((gateway.host, gateway.port))
    for host in cluster.login_hosts:
        if (host, cluster.login_port) in seen:
            raise BadInput("hpc_gateways", f"{host}:{cluster.login_port} is a login host; the way would go in a loop")


def _check_combinations(cluster: Cluster) -> None:
    """Values that are right each, and mean nothing together."""
    route, scheduler = cluster.route, cluster.scheduler
    if route == "step" and not SCHEDULERS[scheduler].steps:
        why = SCHEDULERS[scheduler].no_steps
        stepping = ", ".join(name for name, known in SCHEDULERS.items() if known.steps)
        raise BadInput(
            "hpc_route", f"'step' needs a scheduler that starts steps in a job ({stepping}), and "
            f"hpc_scheduler is {scheduler}" + (f": {why}" if why else ""),
            hint=f"Use {_either(possible_routes(scheduler))}",
        )
    if route == "reverse" and scheduler == "none":
        raise BadInput(
            "hpc_route", "'reverse' leads from a job's node to the login host, and hpc_scheduler is none",
            hint=f"Use {_either(possible_routes(scheduler))}",
        )
    for name, _value in cluster.site:
        if scheduler not in SITES[f"hpc_{name}"]:
            raise BadInput(f"hpc_{name}", f"means nothing with hpc_scheduler: {scheduler}", hint="Remove it")
    if cluster.detach != "setsid" and scheduler != "none":
        raise BadInput(
            "hpc_detach", f"{cluster.detach!r} is for hpc_scheduler: none, where the session runs on the login host; "
            f"here the job of {scheduler} outlives the login", hint="Remove it",
        )


def possible_routes(scheduler: str) -> tuple[str, ...]:
    """What ``hpc_route`` may be on a cluster with ``scheduler``."""
    cannot = {"local": True, "step": not SCHEDULERS[scheduler].steps, "reverse": scheduler == "none"}
    return tuple(route for route in ROUTES if not cannot.get(route, False))


def place(variable: str, origins: Mapping[str, str]) -> str:
    """Where ``variable`` was written, empty if nobody knows."""
    return origins.get(variable) or (origins.get("ansible_user", "") if variable == "hpc_user" else "")

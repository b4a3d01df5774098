"""A folder with which a person reaches JupyterLab by plain ssh, without Python: its files as texts. Pure."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import first_port
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import gateway_alias, pinned

CONFIG, WINDOWS_CONFIG = "ssh_config", "ssh_config_windows"
CERTIFICATE = "ca.pem"
PAGE, SCRIPT = "index.html", "connect.sh"
DEFAULT = "default"
MARK = "hpc-jupyter kit of "
"""How the page names its maker, and account and session after it; a folder with it may be written anew."""

_TEMPLATES = Path(__file__).with_name("templates")
_WINDOWS = ("connect.cmd", "connect.ps1")
_FILES = (CONFIG, WINDOWS_CONFIG, SCRIPT, *_WINDOWS, PAGE)
_OFFERS = {"lan": "lan", "reverse": "reverse"}
_WORDS = "@WORDS@"
_DEFAULTS = (*(item.name for item in fields(Resources)), "directory", "idle_seconds", "interface", "nice")
_PLAIN = re.compile(r"[A-Za-z0-9._:=,/+@~-]+")
"""What stands for itself in every shell."""


@dataclass(frozen=True)
class Lab:
    """The lab's certificate authority: its fingerprint to compare, and ``steps`` that have browsers trust it."""

    name: str
    sha256: str
    pem: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Hop:
    """One block of the ssh configuration: a host with the name that the kit calls it by."""

    alias: str
    host: str
    user: str
    port: int
    fingerprints: tuple[str, ...]
    pins: tuple[str, ...]
    through: str = ""
    relay: str = "jump"

    def proxy(self, *, ssh: str, config: str) -> str:
        """What connects to this hop; ProxyJump would not find ssh on Windows, and cannot pass by ``nc``."""
        if self.relay == "nc":
            return f"{ssh} -T -F {config} {self.through} exec nc %h %p"
        return f"{ssh} -F {config} -W [%h]:%p {self.through}"


def render(
    cluster: Cluster, options: Sequence[str] = (), *, session: str = DEFAULT, lab: Lab | None = None
) -> dict[str, str]:
    """The files by name; ``options`` are what the session is started with, before those that the person adds.

    Raises ``BadInput`` where plain ssh is not enough. What Windows reads has its line ends.
    """
    _check(cluster)
    values = {**_values(cluster, options, session), "lab": lab}
    texts = {name: _template(name).render(values) for name in _FILES}
    told = {name: text.replace("\n", "\r\n") if name in _WINDOWS else text for name, text in texts.items()}
    return {**told, CERTIFICATE: lab.pem} if lab else told


def mark(account: str, session: str) -> str:
    """How the page names what it is a kit of."""
    return f"{MARK}{account}{_named(session)}"


def _named(session: str) -> str:
    return "" if session == DEFAULT else f" --session {session}"


def hops(cluster: Cluster) -> list[Hop]:
    """The gateways and the login host, in order."""
    found: list[Hop] = []
    before, relay = "", "jump"
    for index, gateway in enumerate(cluster.gateways):
        alias = gateway_alias(cluster, index)
        found.append(_hop(cluster, alias, gateway.host, gateway.user, gateway.port, through=before, relay=relay))
        before, relay = alias, gateway.relay
    login = cluster.login_hosts[0]
    return [*found, _hop(cluster, cluster.name, login, cluster.user, cluster.login_port, through=before, relay=relay)]


def start_options(variables: Mapping[str, Any]) -> list[str]:
    """The role variables ``jupyter_session_…`` of the inventory as options of ``hpc-session start``.

    Raises ``BadInput`` for what cannot be passed through every shell as it is.
    """
    given = {name: variables.get(f"jupyter_session_{name}") for name in _DEFAULTS}
    return [option for name, value in given.items() if value for option in _options(name, value)]


def _options(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if name == "exclusive":
        return [option] if str(value).lower() in ("true", "yes", "on", "1") else []
    if name == "extra":
        return [f"{option}={_plain(name, item)}" for item in value]
    return [option, _plain(name, value)]


def _plain(name: str, value: Any) -> str:
    if not _PLAIN.fullmatch(str(value)):
        raise BadInput(
            f"jupyter_session_{name}", f"{str(value)!r} has characters that a kit cannot pass on",
            hint="Allowed are letters, digits and ._:=,/+@~- there",
        )
    return str(value)


def windows_lines(cluster: Cluster, options: Sequence[str] = (), session: str = DEFAULT) -> dict[str, str]:
    """The command lines of ``connect.ps1`` without their program; ``@…@`` is filled in there.

    A program on Windows gets one line and takes it apart itself, by the rules that ``list2cmdline`` knows.
    """
    base = ["-T", "-F", WINDOWS_CONFIG]
    forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", "127.0.0.1:@PORT@:@TARGET@"]
    start = start_command(cluster, port="@PORT@", words=" ".join([*options, _WORDS]), session=session)
    jump = f"ProxyCommand=ssh.exe -F {WINDOWS_CONFIG} -W [%h]:%p {cluster.name}"
    node = ["-o", jump, "-o", "UserKnownHostsFile=known_hosts_node", "-o", "StrictHostKeyChecking=yes",
            "-l", cluster.user, "@NODE@"]  # fmt: skip
    return {
        "Start": subprocess.list2cmdline([*base, cluster.name, start]),
        "Other": subprocess.list2cmdline([*base, cluster.name, verb_command(cluster, _WORDS, session)]),
        "Login": subprocess.list2cmdline([*base, *forward, cluster.name]),
        "Node": subprocess.list2cmdline([*base, *forward, *node]),
    }


def start_command(cluster: Cluster, *, port: str, words: str, session: str = DEFAULT) -> str:
    """What the login shell is told, whichever it is: start, then say where and with which URL, between known lines.

    There is nothing in it that sh, csh or fish would take for their own, and no double quote.
    """
    program = _program(cluster)
    offer = f"--offer {_OFFERS[cluster.route]} " if cluster.route in _OFFERS else ""
    steps = [
        "cd", f"{program} start{_named(session)} {offer}{words} >&2",
        "echo hpc-jupyter-record", f"{program} status --session {session} --json",
        "echo hpc-jupyter-url", f"{program} url --session {session} --port {port}", "echo hpc-jupyter-end",
    ]  # fmt: skip
    return f"exec /bin/sh -c '{' && '.join(steps)}'"


def verb_command(cluster: Cluster, words: str, session: str = DEFAULT) -> str:
    """Another verb of the account's own command."""
    return f"exec /bin/sh -c 'cd && exec {_program(cluster)} {words}{_named(session)}'"


def _program(cluster: Cluster) -> str:
    """Relative to the home directory, where ``~`` would need a shell that knows it."""
    return f"{cluster.root.removeprefix('~/')}/hpc-session"


def _check(cluster: Cluster) -> None:
    if cluster.local:
        raise BadInput("ACCOUNT", f"{cluster.account} is this machine", hint="A kit is for an account on a cluster")
    if cluster.route == "step":
        raise BadInput(
            "hpc_route", "'step' cannot be done by plain ssh, so that a kit would not work",
            hint="Use hpc-jupyter, or hpc_route: lan or reverse where the cluster allows it",
        )


def _hop(
    cluster: Cluster, alias: str, host: str, user: str, port: int, *, through: str, relay: str
) -> Hop:
    pins = cluster.pins(host)
    return Hop(alias, host, user, port, tuple(str(pin) for pin in pins), tuple(pinned(pins)), through, relay)


def _values(cluster: Cluster, options: Sequence[str], session: str) -> Mapping[str, Any]:
    return {
        "cluster": cluster,
        "hops": hops(cluster),
        "config": CONFIG,
        "windows_config": WINDOWS_CONFIG,
        "mark": mark(cluster.account, session),
        "named": _named(session),
        "port": first_port(cluster.account, session),
        "direct": cluster.scheduler == "none",
        "start": start_command(cluster, port="$port", words=" ".join([*options, "$*"]), session=session),
        "other": verb_command(cluster, "$*", session),
        "lines": windows_lines(cluster, options, session),
        "command": _program(cluster),
    }


def _template(name: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=name.endswith(".html"),
    )  # fmt: skip
    source = CONFIG if name == WINDOWS_CONFIG else name
    return environment.get_template(f"{source}.j2", globals={"windows": name == WINDOWS_CONFIG})

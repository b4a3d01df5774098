# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generated ssh configuration of one account: what must hold comes first, the person's own config after it.

``ssh -F <directory>/ssh_config CLUSTER`` logs in, through every gateway; nodes that were recorded are reached by
their names. ssh hands ``-F`` on to the hops of ProxyJump, so that every hop is bound by the same file.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin, cluster_name

OWN_CONFIGS = ("~/.ssh/config", "/etc/ssh/ssh_config")
"""Included after what must hold: identities, agents, hardware keys and certificates stay the person's."""

_CONTROL_LIMIT_BYTES = 90
_HOP_SECONDS = 20
_LATER_HOP_SECONDS = 240
_ALGORITHMS = {
    "ED25519": "ssh-ed25519",
    "ECDSA": "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
    "RSA": "rsa-sha2-512,rsa-sha2-256",
}

_ALWAYS = """\
StrictHostKeyChecking yes
NoHostAuthenticationForLocalhost no
VerifyHostKeyDNS no
UpdateHostKeys no
CheckHostIP no
CanonicalizeHostname no
ForwardAgent no
ForwardX11 no
Tunnel no
PermitLocalCommand no
RemoteCommand none
RequestTTY auto
LogLevel INFO
ServerAliveInterval 10
ServerAliveCountMax 3""".splitlines()
_SINCE_8_7 = ["SessionType default", "ForkAfterAuthentication no", "StdinNull no"]


@dataclass(frozen=True)
class Files:
    """The files of one account on the controller; ``directory`` is 0700, every file 0600."""

    directory: str

    @property
    def config(self) -> str:
        """The configuration, for ``ssh -F``."""
        return os.path.join(self.directory, "ssh_config")

    @property
    def batch_config(self) -> str:
        """``config``, in which no hop asks anything: for opening the master without a person."""
        return os.path.join(self.directory, "batch_config")

    @property
    def asking_config(self) -> str:
        """``config``, in which every hop says when it has let us in: for opening the master with a person."""
        return os.path.join(self.directory, "asking_config")

    @property
    def once_config(self) -> str:
        """``asking_config``, in which a wrong password is not asked for again."""
        return os.path.join(self.directory, "once_config")

    @property
    def node_options(self) -> str:
        """What holds for every compute node."""
        return os.path.join(self.directory, "node_options")

    @property
    def nodes(self) -> str:
        """The names of the compute nodes whose keys were recorded, as a block of configuration."""
        return os.path.join(self.directory, "nodes")

    @property
    def sessions(self) -> str:
        """A directory of blocks of configuration, one file a session: its login host, and its job's own sshd."""
        return os.path.join(self.directory, "sessions")

    @property
    def step_key(self) -> str:
        """The key for the sshd that route ``step`` starts in a job."""
        return os.path.join(self.directory, "step_key")

    @property
    def node_known_hosts(self) -> str:
        """The compute nodes' host keys, as their jobs put them into the record."""
        return os.path.join(self.directory, "node_known_hosts")

    @property
    def node_aliases(self) -> str:
        """The nodes in ``nodes`` by the names that a person types, ``CLUSTER-NODE``; included from ``~/.ssh``."""
        return os.path.join(self.directory, "node_aliases")

    @property
    def identity(self) -> str:
        """The keys to log in with, where the role ``jupyter_access`` has settled them."""
        return os.path.join(self.directory, "identity")

    @property
    def control(self) -> str:
        """The socket of the login master."""
        return os.path.join(self.directory, "control")

    @property
    def entrance(self) -> str:
        """The socket of the connection that the login master goes through, where it has to."""
        return os.path.join(self.directory, "entrance")

    @property
    def former(self) -> str:
        """The socket of a login master that no longer carries, while another one is opened."""
        return os.path.join(self.directory, "former")

    @property
    def login_known_hosts(self) -> str:
        """The host keys of the login host that a session depends on."""
        return os.path.join(self.directory, "login_known_hosts")

    @property
    def python(self) -> str:
        """The account's Python that Ansible runs modules with."""
        return os.path.join(self.directory, "python")

    @property
    def lock(self) -> str:
        """Held while the master is opened."""
        return os.path.join(self.directory, "lock")


def state_directory(account: str) -> str:
    """Where this machine keeps what belongs to ``account``; raises ``BadInput`` if ssh could not work there."""
    cluster_name(account)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.local/state")
    directory = os.path.join(base, "hpc-jupyter", account)
    check_directory(directory)
    return directory


def check_directory(directory: str) -> None:
    """Refuse a directory whose name ssh_config cannot hold or whose sockets the kernel cannot take."""
    if not os.path.isabs(directory) or re.search(r"[\"'\\%$*?\[\]{}~\x00-\x1f\x7f]", directory):
        raise BadInput("state directory", f"{directory!r} has characters ssh_config cannot hold",
                       hint="Set XDG_STATE_HOME to a plain path")
    size = len(os.fsencode(Files(directory).control))
    if size >= _CONTROL_LIMIT_BYTES:
        raise BadInput(
            "state directory",
            f"{directory} is too long for a socket ({size} bytes, allowed are {_CONTROL_LIMIT_BYTES - 1})",
            hint="Set XDG_STATE_HOME to a shorter path, such as /tmp/$USER-state made with mode 0700",
        )


def render(
    cluster: Cluster, *, directory: str, openssh: tuple[int, int] = (9, 2), own_configs: Sequence[str] = OWN_CONFIGS
) -> str:
    """The text of ``ssh_config``; raises ``BadInput`` where this ssh is too old for pinned fingerprints."""
    pinned = [host for host, _pins in cluster.host_keys]
    if pinned and openssh < (8, 5):
        raise BadInput(
            "hpc_host_keys", f"pinned fingerprints need OpenSSH 8.5 or newer, here is {openssh[0]}.{openssh[1]}",
            hint="Update OpenSSH on this machine",
        )
    check_directory(directory)
    always = _always(openssh)
    blocks = [
        f"# Written by hpc.jupyter for {cluster.account}; changes are overwritten. Your own settings: ~/.ssh/config",
        _login(cluster, directory=directory, always=always),
        *(_gateway(cluster, index, directory=directory, always=always) for index in range(len(cluster.gateways))),
        block(f"*,!{cluster.name},!{_gateway_pattern(cluster)}", [
            f'Include "{Files(directory).sessions}/*"', f'Include "{Files(directory).nodes}"',
        ]),
        block("*", [f'Include "{Files(directory).identity}"']),
        *_own(cluster, own_configs),
    ]
    return "\n\n".join(blocks) + "\n"


def login_options(cluster: Cluster, *, directory: str, openssh: tuple[int, int] = (9, 2)) -> list[str]:
    """What ``ssh_config`` says of the login host, one option a line."""
    block = _login(cluster, directory=directory, always=_always(openssh))
    return [line.strip() for line in block.splitlines()[1:]]


def gateway_alias(cluster: Cluster, index: int) -> str:
    """The name in ``ssh_config`` of the gateway at ``index``, counted from 0."""
    return f"{cluster.name}-gateway-{index + 1}"


def relay_command(cluster: Cluster, index: int, *, config: str) -> str:
    """The command whose input and output are the connection from the gateway at ``index`` to the next hop."""
    alias = gateway_alias(cluster, index)
    if cluster.gateways[index].relay == "nc":
        return f"ssh -F '{config}' -T -- {alias} exec nc %h %p"
    return f"ssh -F '{config}' -W '[%h]:%p' -- {alias}"


def node_options(cluster: Cluster, *, directory: str, openssh: tuple[int, int] = (9, 2)) -> str:
    """The text of the file ``node_options``."""
    lines = [
        f"User {cluster.user}",
        f"ProxyJump {cluster.name}",
        "ControlMaster no",
        "ControlPath none",
        f'UserKnownHostsFile "{Files(directory).node_known_hosts}"',
        "GlobalKnownHostsFile /dev/null",
        "KnownHostsCommand none" if openssh >= (8, 5) else "# KnownHostsCommand is not known to this ssh",
        f"ConnectTimeout {_LATER_HOP_SECONDS}",
        *_always(openssh),
    ]
    return "\n".join(lines) + "\n"


def write(cluster: Cluster, *, directory: str | None = None, own_configs: Sequence[str] = OWN_CONFIGS) -> Files:
    """Write the account's configuration, each file whole and only if it changed."""
    files = Files(directory or state_directory(cluster.account))
    openssh = openssh_version()
    config = render(cluster, directory=files.directory, openssh=openssh, own_configs=own_configs)
    make_private_directory(files.directory)
    replace(files.config, config)
    replace(files.node_options, node_options(cluster, directory=files.directory, openssh=openssh))
    for path, options in (
        (files.batch_config, ["BatchMode yes"]),
        (files.asking_config, ["BatchMode no"]),
        (files.once_config, ["BatchMode no", "NumberOfPasswordPrompts 1"]),
    ):
        # Whoever typed a code for a login keeps it through a cut of minutes; whether it carries, a probe decides.
        lasting = ["LogLevel VERBOSE", "ServerAliveCountMax 18", *options]
        replace(path, _wrapper(files, [*lasting, *_relays(cluster, config=path)]))
    return files


@functools.cache
def openssh_version() -> tuple[int, int]:
    """The version of this machine's ssh; raises ``BadInput`` where there is none."""
    try:
        answer = subprocess.run(["ssh", "-V"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise BadInput("ssh", "there is no ssh program on this machine", hint="Install OpenSSH's client") from error
    found = re.search(r"OpenSSH[^0-9]*([0-9]+)\.([0-9]+)", answer.stderr.decode("utf-8", "replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _login(cluster: Cluster, *, directory: str, always: list[str]) -> str:
    gateways = len(cluster.gateways)
    host = cluster.login_hosts[0]
    return block(cluster.name, [
        f"HostName {host}",
        f"Port {cluster.login_port}",
        f"User {cluster.user}",
        *_through(cluster, gateways, config=Files(directory).config),
        "ControlMaster auto",
        f'ControlPath "{Files(directory).control}"',
        "ControlPersist 10m",
        f"ConnectTimeout {_LATER_HOP_SECONDS if gateways else _HOP_SECONDS}",
        *pinned(cluster.pins(host)),
        *always,
    ])


def _gateway(cluster: Cluster, index: int, *, directory: str, always: list[str]) -> str:
    gateway: Gateway = cluster.gateways[index]
    return block(gateway_alias(cluster, index), [
        f"HostName {gateway.host}",
        f"Port {gateway.port}",
        f"User {gateway.user}",
        *_through(cluster, index, config=Files(directory).config),
        "ControlMaster no",
        "ControlPath none",
        f"ConnectTimeout {_LATER_HOP_SECONDS if index else _HOP_SECONDS}",
        *pinned(cluster.pins(gateway.host)),
        *always,
    ])


def _through(cluster: Cluster, index: int, *, config: str) -> list[str]:
    """How the hop after ``index`` gateways is reached: through the last of them."""
    if not index:
        return []
    if cluster.gateways[index - 1].relay == "nc":
        return [f"ProxyCommand {relay_command(cluster, index - 1, config=config)}"]
    return [f"ProxyJump {gateway_alias(cluster, index - 1)}"]


def _relays(cluster: Cluster, *, config: str) -> list[str]:
    """ssh hands ``-F`` on to ProxyJump only: what goes through ``nc`` must name its configuration itself."""
    count = len(cluster.gateways)
    names = [*(gateway_alias(cluster, index) for index in range(count)), cluster.name]
    blocks = [
        block(names[index], _through(cluster, index, config=config))
        for index in range(1, count + 1) if cluster.gateways[index - 1].relay == "nc"
    ]
    return [*blocks, "Match all"] if blocks else []


def _own(cluster: Cluster, own_configs: Sequence[str]) -> list[str]:
    """A gateway has an alias that only we know: in the final pass its real name is matched, as if it had been typed."""
    includes = [f"Include {path}" for path in own_configs]
    gateways = _gateway_pattern(cluster)
    return [
        "\n".join([f"Match final originalhost {gateways}", *_indented(includes)]),
        block(f"*,!{gateways}", includes),
    ]


def _gateway_pattern(cluster: Cluster) -> str:
    return f"{cluster.name}-gateway-*"


def _always(openssh: tuple[int, int]) -> list[str]:
    return [*_ALWAYS, *(_SINCE_8_7 if openssh >= (8, 7) else [])]


def pinned(pins: Sequence[Pin]) -> list[str]:
    """The options that let no key in but those with these fingerprints; none where none are published."""
    if not pins:
        return []
    kinds = sorted({pin.kind for pin in pins})
    # A certificate has the fingerprint of its key, but ssh does not compare it with a line of known_hosts.
    algorithms = ",".join(_ALGORITHMS[kind] for kind in kinds) if all(kinds) else "-*-cert-v01@openssh.com"
    return [
        "UserKnownHostsFile /dev/null",
        "GlobalKnownHostsFile /dev/null",
        f"KnownHostsCommand {_known_hosts_command(pins)}",
        f"HostKeyAlgorithms {algorithms}",
    ]


def _known_hosts_command(pins: Sequence[Pin]) -> str:
    """Base64 has no character that the shell or ssh_config would take for its own; ssh splits the line by itself.

    ssh asks once for the order of algorithms too, with NONE for the fingerprint.
    """
    pinned = "|".join(f'"{pin.fingerprint}"' for pin in pins)
    script = (
        f'case "$1" in {pinned}) echo "$2 $3 $4";; NONE) ;; '
        '*) echo "hpc.jupyter: $2 presents $3 $1, which is not pinned" >&2;; esac'
    )
    return f"/bin/sh -c '{script}' pins %f %H %t %K"


def block(pattern: str, lines: Sequence[str]) -> str:
    """``lines`` for the hosts that are called ``pattern``."""
    return "\n".join([f"Match originalhost {pattern}", *_indented(lines)])


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _wrapper(files: Files, lines: Sequence[str]) -> str:
    return "\n".join([*lines, f'Include "{files.config}"']) + "\n"


def read(path: str) -> str:
    """The file's text, empty if it is not there."""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as stream:
        return stream.read()
    return ""


def replace(path: str, text: str) -> None:
    """Write the file, whole, if its text is another one."""
    if read(path) != text:
        write_private(path, text.encode())

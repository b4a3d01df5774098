"""The files of a host that make it a host of its own: pure functions from the topology to text."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .keys import KeyPair
from .skeleton import NOTICE
from .topology import Allow, File, Host, Topology

_PEOPLE = range(1000, 60000)  # as Debian hands out ids
_SSHD: Mapping[str, str] = {
    "HostKey": "/etc/ssh/ssh_host_ed25519_key",
    "Banner": "/etc/ssh/banner",
    "PasswordAuthentication": "yes",
    "KbdInteractiveAuthentication": "no",
    "PermitRootLogin": "no",
    "UsePAM": "no",
    "UseDNS": "no",
    "PrintMotd": "yes",
    "PrintLastLog": "no",
    "MaxStartups": "200",
    "PidFile": "none",
    "LogLevel": "VERBOSE",
    "AcceptEnv": "LANG LC_*",
    "Subsystem": "sftp /usr/lib/openssh/sftp-server",
}


def host_files(host: Host, topology: Topology, *, hosts: str, hashes: Mapping[str, str]) -> tuple[File, ...]:
    """Accounts and names first: the owners of the files after them are looked up there."""
    machine = Path("/etc")
    return (
        File(path="/etc/passwd", text=passwd(_system(machine / "passwd"), topology)),
        File(path="/etc/group", text=group(_system(machine / "group"), topology)),
        File(path="/etc/shadow", text=shadow((machine / "passwd").read_text(), hashes), mode=0o600),
        File(path="/etc/hosts", text=hosts),
        File(path="/etc/hostname", text=host.name + "\n"),
        File(path="/etc/nsswitch.conf", text="passwd: files\ngroup: files\nshadow: files\nhosts: files\n"),
        File(path="/etc/resolv.conf", text=""),
        File(path="/etc/environment", text=""),
        File(path="/etc/motd", text=f"Welcome to {host.name} — be nice to others.\n"),
        *([File(path=NOTICE, text=host.notice)] if host.notice else []),
        *host.files,
    )


def sshd_files(host: Host, key: KeyPair) -> tuple[File, ...]:
    options = {**_SSHD, **(host.sshd or {})}
    return (
        File(path="/etc/ssh/sshd_config", text="".join(f"{name} {value}\n" for name, value in options.items())),
        File(path="/etc/ssh/ssh_host_ed25519_key", text=key.private, mode=0o600),
        File(path="/etc/ssh/ssh_host_ed25519_key.pub", text=key.public),
        File(path="/etc/ssh/banner", text=f"** {host.name}: nur für Befugte · réservé aux personnes autorisées **\n"),
    )


def passwd(system: Iterable[str], topology: Topology) -> str:
    own = [f"{user.name}:x:{user.uid}:{user.uid}::/home/{user.name}:{user.login_shell}" for user in topology.users]
    return _lines([*system, *own])


def group(system: Iterable[str], topology: Topology) -> str:
    return _lines([*system, *(f"{user.name}:x:{user.uid}:" for user in topology.users)])


def shadow(machine_passwd: str, hashes: Mapping[str, str]) -> str:
    """Nobody of the machine can log in; accounts of the lab have their passwords."""
    system = [line.partition(":")[0] for line in machine_passwd.splitlines() if _is_system(line)]
    return _lines([*(f"{name}:*:19000::::::" for name in system), *(f"{n}:{h}:19000::::::" for n, h in hashes.items())])


def firewall(host: Host, source: Mapping[str, Mapping[str, str]]) -> str:
    """Rules for nft; `source` gives, by network, each host's address there."""
    closed = dict.fromkeys(rule.network for rule in host.allow)
    rules = [_rule(rule, source[rule.network]) for rule in host.allow if rule.ports != ()]
    refuse = [f'iifname "{network}" {_refusal(host)}' for network in closed]
    accept = ["ct state established,related accept", "meta l4proto icmp accept"]
    chain = "\n".join(["type filter hook input priority 0; policy accept;", *accept, *rules, *refuse])
    return f"table inet lab {{\nchain input {{\n{chain}\n}}\n}}\n" if closed else ""


def _rule(rule: Allow, source: Mapping[str, str]) -> str:
    addresses = None if rule.sources is None else [source[host] for host in rule.sources]
    saddr = "" if addresses is None else f"ip saddr {_set(addresses)} "
    dport = "" if rule.ports is None else f"tcp dport {_set([str(port) for port in rule.ports])} "
    return f'iifname "{rule.network}" {saddr}{dport}accept'


def _refusal(host: Host) -> str:
    return "reject with icmpx admin-prohibited" if host.otherwise == "reject" else "drop"


def _set(values: Sequence[str]) -> str:
    return "{ " + ", ".join(values) + " }"


def _system(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if _is_system(line)]


def _is_system(line: str) -> bool:
    """Accounts and groups of programs, not of the machine's people."""
    fields = line.split(":")
    return len(fields) > 2 and int(fields[2]) not in _PEOPLE


def _lines(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines)

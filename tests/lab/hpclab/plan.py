"""What PID 1 of each namespace shall do, as the plain data that `init` reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .addresses import Addresses
from .etc import firewall, host_files, sshd_files
from .keys import Keys
from .process import call
from .topology import Bind, Daemon, File, Host, Topology

Plan = dict[str, Any]

_PRIVATE = ("/etc/ssh", "/tmp", "/var/tmp", "/var/log", "/var/spool", "/run", "/root", "/srv", "/mnt", "/media")
_STICKY = ("/tmp", "/var/tmp", "/dev/shm")
_DEVICES: Mapping[str, tuple[int, int]] = {
    "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0),
}  # fmt: skip
_NULL = (1, 3)
_LINKS = {"/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1", "/dev/stderr": "fd/2",
          "/dev/ptmx": "pts/ptmx", "/run/lock": "/tmp"}  # fmt: skip
# A kernel without IPv6 has no such settings; loopback keeps its ::1.
_SYSCTL = ["sysctl", "-eqw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.disable_ipv6=1"]
_SYSCTL += ["net.ipv6.conf.default.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=0"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """All that the plans of one lab's hosts are made from."""

    topology: Topology
    addresses: Addresses
    keys: Keys
    hashes: Mapping[str, str]  # user -> what shadow holds
    disk: Path  # the lab's memory disk, as the hub sees it
    binds: Sequence[Bind] = ()


def hash_passwords(topology: Topology) -> Mapping[str, str]:
    passwords = "".join(user.password + "\n" for user in topology.users)
    hashes = call(["openssl", "passwd", "-6", "-stdin"], text=passwords).split()
    return {user.name: hashed for user, hashed in zip(topology.users, hashes, strict=True)}


def hub_plan(site: Site) -> Plan:
    """A memory disk for what the hosts write, one for each home, and a switch for each network."""
    topology, disk = site.topology, site.disk
    bridges = [f"link add name {name} type bridge forward_delay 0" for name in topology.networks]
    up = [f"link set dev {name} up" for name in topology.networks]
    folders = [disk / "hosts" / host.name / part for host in topology.hosts for part in ("upper", "work", "root")]
    homes = [disk / "homes" / home.name for home in topology.homes]
    return _plan(
        mounts=[_tmpfs(str(path)) for path in (disk, *homes)],
        directories=[_directory(str(path)) for path in folders],
        commands=[_command(_SYSCTL), _ip([*bridges, *up])],
    )


def link_commands(site: Site, pids: Mapping[str, int]) -> list[str]:
    """For `ip -batch` in the hub: a cable from each host to the switches of its networks."""
    commands = []
    for host in site.topology.hosts:
        for network in host.networks:
            port = port_name(host, network)
            commands.append(f"link add name {port} type veth peer name {network} netns {pids[host.name]}")
            commands.append(f"link set dev {port} master {network} up")
    return commands


def port_name(host: Host, network: str) -> str:
    """The hub's end of the cable; the kernel allows 15 characters."""
    return f"{host.name[:12]}.{host.networks.index(network)}"


def host_plan(host: Host, site: Site) -> Plan:
    files = [*_etc(host, site)]
    folders = {"/run/sshd": "root"}
    daemons: list[Daemon] = []
    if host.sshd is not None:
        files += sshd_files(host, site.keys.hosts[host.name])
        daemons.append(_sshd())
    for scheduler in site.topology.schedulers:
        files += scheduler.files(host, secret=site.keys.secret)
        folders |= scheduler.directories(host)
        daemons += scheduler.daemons(host)
    return _plan(
        root=str(site.disk / "hosts" / host.name / "root"),
        hostname=host.name,
        mounts=_mounts(host, site),
        files=[asdict(file) for file in files],
        directories=[
            *(_directory(path, 0o1777) for path in _STICKY),
            *(_directory(*each) for each in _owned(folders)),
            *(_directory(path, mode) for path, mode in host.directories.items()),
        ],
        devices=[_device(f"/dev/{name}", number) for name, number in _DEVICES.items()]
        + [_device(f"/dev/gpu{index}", _NULL) for index in range(host.gpus)],
        links=_LINKS,
        commands=_network(host, site),
        daemons=[asdict(daemon) for daemon in daemons],
    )


def _etc(host: Host, site: Site) -> tuple[File, ...]:
    hosts = site.addresses.table(host.name, site.topology.names)
    return host_files(host, site.topology, hosts=hosts, hashes=site.hashes)


def _network(host: Host, site: Site) -> list[dict[str, Any]]:
    addresses = [(site.addresses.of(host.name, network), network) for network in host.networks]
    lines = [f"addr add {address}/24 dev {network}" for address, network in addresses]
    up = [f"link set dev {network} up" for network in ("lo", *host.networks)]
    rules = firewall(host, {network: _network_addresses(network, site) for network in host.networks})
    return [_command(_SYSCTL), *([_command(["nft", "-f", "-"], rules)] if rules else []), _ip([*lines, *up])]


def _network_addresses(network: str, site: Site) -> dict[str, str]:
    members = [host.name for host in site.topology.hosts if network in host.networks]
    return {name: site.addresses.of(name, network) for name in members}


def _mounts(host: Host, site: Site) -> list[dict[str, Any]]:
    """The machine's system below, nothing of its people's and programs' data, and no way to write to it."""
    disk = site.disk / "hosts" / host.name
    layers = f"lowerdir=/,upperdir={disk / 'upper'},workdir={disk / 'work'}"
    return [
        {"source": "overlay", "target": "/", "type": "overlay", "options": layers},
        {"source": "proc", "target": "/proc", "type": "proc"},
        {"source": "sysfs", "target": "/sys", "type": "sysfs"},
        _tmpfs("/dev"),
        {"source": "devpts", "target": "/dev/pts", "type": "devpts", "options": "newinstance,ptmxmode=0666,mode=620"},
        *(_tmpfs(path) for path in ("/dev/shm", *_PRIVATE)),
        _bind(site.disk / "homes" / host.home, "/home"),
        *(each for bind in site.binds if host.name in bind.hosts for each in _bound(bind)),
    ]


def _bound(bind: Bind) -> list[dict[str, Any]]:
    once = _bind(Path(bind.source).resolve(), bind.target)
    again = {**once, "flags": ["bind", "remount", "rdonly"]}
    return [once] if bind.writable else [once, again]


def _bind(source: Path, target: str) -> dict[str, Any]:
    return {"source": str(source), "target": target, "type": "", "flags": ["bind"]}


def _tmpfs(path: str) -> dict[str, Any]:
    return {"source": "tmpfs", "target": path, "type": "tmpfs", "options": "mode=0755"}


def _directory(path: str, mode: int = 0o755, owner: str = "root") -> dict[str, Any]:
    return {"path": path, "mode": mode, "owner": owner}


def _owned(folders: Mapping[str, str]) -> list[tuple[str, int, str]]:
    return [(path, 0o755, owner) for path, owner in folders.items()]


def _device(path: str, number: tuple[int, int]) -> dict[str, Any]:
    return {"path": path, "number": number}


def _command(argv: Sequence[str], text: str = "") -> dict[str, Any]:
    return {"argv": list(argv), "text": text}


def _ip(lines: Sequence[str]) -> dict[str, Any]:
    return _command(["ip", "-batch", "-"], "".join(line + "\n" for line in lines))


def _sshd() -> Daemon:
    """By its full path, as it demands."""
    return Daemon(name="sshd", argv=("/usr/sbin/sshd", "-D", "-e"), ready_port=22)


def _plan(**parts: Any) -> Plan:
    empty: Plan = dict.fromkeys(("mounts", "files", "directories", "devices", "commands", "daemons"), ())
    return {**empty, "root": "", "hostname": "", "links": {}, **parts}

"""The keys of a lab: one of each host's sshd, one of each account that has its own, one secret for the clusters."""

import base64
import hashlib
import secrets
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .topology import Topology


@dataclass(frozen=True)
class KeyPair:
    private: str
    public: str  # "ssh-ed25519 BASE64 comment"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(base64.b64decode(self.public.split()[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Keys:
    hosts: Mapping[str, KeyPair]
    accounts: Mapping[tuple[str, str], KeyPair]  # (user, home)
    secret: str

    def authorized(self, user: str, homes: Iterable[str]) -> str:
        return "".join(self.accounts[user, home].public + "\n" for home in homes)


def read_or_make(topology: Topology, directory: Path) -> Keys:
    hosts = {host.name: f"host-{host.name}" for host in topology.hosts if host.sshd is not None}
    accounts = {
        (user.name, home.name): f"{user.name}@{home.name}"
        for user in topology.users
        for home in topology.homes
        if home.key
    }
    directory.mkdir(mode=0o700, exist_ok=True)
    _generate([directory / name for name in (*hosts.values(), *accounts.values())])
    return Keys(
        {host: _read(directory / name) for host, name in hosts.items()},
        {account: _read(directory / name) for account, name in accounts.items()},
        _secret(directory / "secret"),
    )


def _generate(paths: Iterable[Path]) -> None:
    """All at once: each waits for a process to start more than it computes."""
    started = [
        subprocess.Popen(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path])
        for path in paths
        if not path.exists()
    ]
    if any(process.wait(timeout=20) for process in started):
        raise LabError("ssh-keygen could not make a key")


def _read(path: Path) -> KeyPair:
    return KeyPair(path.read_text(), path.with_name(path.name + ".pub").read_text().strip())


def _secret(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(64))
    return path.read_text()

"""The person's own stores of trusted authorities, which browsers on Linux have; NSS's certutil does the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.plugin_utils.authority import Authority
from cryptography.hazmat.primitives.serialization import Encoding

from hpc_jupyter.errors import Failure

NO_CERTUTIL = (
    "there is no certutil on this machine, which writes to the browsers' stores. Install it (Debian: sudo apt install "
    "libnss3-tools; RHEL: sudo dnf install nss-tools), or add the authority by hand"
)
_SECONDS = 20
_DATABASE = "cert9.db"
_NOT_FOUND = "PR_FILE_NOT_FOUND_ERROR"
_FIREFOX = (
    ".mozilla/firefox", ".config/mozilla/firefox", "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox", ".librewolf",
)  # fmt: skip


@dataclass(frozen=True)
class Store:
    """One store, a directory; ``browser`` is whose it is."""

    browser: str
    path: Path

    @property
    def label(self) -> str:
        """What a person is told."""
        return f"{self.browser} ({self.path})"

    @property
    def is_there(self) -> bool:
        """Whether it was ever used."""
        return (self.path / _DATABASE).exists()


def stores(environment: Mapping[str, str], *, platform: str = sys.platform) -> list[Store]:
    """The stores of this person; the one that Chromium would make itself is named although it is not there yet.

    On other systems than Linux, Chromium asks the system, and there is no NSS to be had.
    """
    if not platform.startswith("linux"):
        return []
    home = Path(environment.get("HOME") or "~").expanduser()
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    places = (home / ".pki/nssdb", data / "pki/nssdb", home / "snap/chromium/current/.pki/nssdb")
    found = [Store("Chromium and Chrome", path) for path in places]
    there = [store for store in found if store.is_there] or found[:1]
    profiles = [path.parent for place in _FIREFOX for path in sorted((home / place).glob(f"*/{_DATABASE}"))]
    return [*there, *(Store("Firefox", path) for path in profiles)]


def has(store: Store, authority: Authority) -> bool:
    """Whether the store trusts the authority, as far as we have put it there; raises ``Failure`` if nobody can tell."""
    if not store.is_there:
        return False
    _needs_certutil()
    done = _certutil(store, "-L", "-a", "-n", _nickname(authority))
    if done.returncode != 0 and _NOT_FOUND not in done.stderr:
        raise _failure(store, done)
    return done.returncode == 0 and done.stdout.strip().splitlines() == _lines(authority)


def trusting(environment: Mapping[str, str], authority: Authority) -> tuple[list[Store], tuple[str, ...]]:
    """The stores of this person that trust the authority, and why others cannot be read."""
    found, problems = list[Store](), dict[str, None]()
    for store in stores(environment):
        try:
            if has(store, authority):
                found.append(store)
        except Failure as error:
            problems[str(error)] = None
    return found, tuple(problems)


def add(store: Store, authority: Authority) -> None:
    """Have the store trust the authority for servers and nothing else; raises ``Failure``."""
    _needs_certutil()
    if not store.is_there:
        store.path.mkdir(parents=True, mode=0o700, exist_ok=True)
        _must(store, "-N", "--empty-password")
    # What was checked and shown, and not what the file may hold by now.
    pem = authority.certificate.public_bytes(Encoding.PEM).decode()
    _must(store, "-A", "-a", "-n", _nickname(authority), "-t", "C,,", given=pem)


def remove(store: Store, authority: Authority) -> None:
    """Take it out again; raises ``Failure``."""
    _needs_certutil()
    _must(store, "-D", "-n", _nickname(authority))


def _nickname(authority: Authority) -> str:
    """One that no other authority has, so that what is removed is what was added."""
    return f"hpc-jupyter {authority.sha256[:16]}"


def _lines(authority: Authority) -> list[str]:
    return authority.certificate.public_bytes(Encoding.PEM).decode().strip().splitlines()


def _needs_certutil() -> None:
    if shutil.which("certutil") is None:
        raise Failure(NO_CERTUTIL)


def _must(store: Store, *arguments: str, given: str = "") -> None:
    done = _certutil(store, *arguments, given=given)
    if done.returncode != 0:
        raise _failure(store, done)


def _failure(store: Store, done: subprocess.CompletedProcess[str]) -> Failure:
    said = (done.stderr.strip().splitlines() or ["no reason was given"])[-1].removeprefix("certutil: ").rstrip(".")
    return Failure(
        f"{store.label}: {said}. Close the browser and try again; a store with a password of its own is changed in the "
        "browser's settings"
    )


def _certutil(store: Store, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    argv: Sequence[str] = ("certutil", *arguments, "-d", f"sql:{store.path}")
    try:
        return subprocess.run(
            argv, input=given, capture_output=True, text=True, timeout=_SECONDS, check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, "", f"certutil did not end within {_SECONDS} seconds")

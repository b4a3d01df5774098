# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running supervisor is asked for: one file in the session's directory, answered in the record.

The file is there from the submit on and only ever replaced: other NFS clients may take a minute to see a new name.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import stat
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private

RESTART = "restart"
OFFERS = ("socket", "lan", "reverse")
_WANTS = ("", RESTART, *OFFERS)
_LIMIT_BYTES = 65536
_ID = re.compile(r"(?:[0-9a-f]{16})?")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+")
_KEY = re.compile(r"[a-z0-9@.-]{3,64} [A-Za-z0-9+/]{16,2000}={0,2}")


@dataclass(frozen=True)
class Landing:
    """The login host from which something was asked for: its name, addresses, sshd's port and public host keys.

    ``directory`` is a private one on that host, where sockets can be made; empty where none is needed.
    """

    host: str
    port: int
    host_keys: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    directory: str = ""


@dataclass(frozen=True)
class Wish:
    """``want`` is one of ``OFFERS``, ``restart``, or empty; it is meant for one generation of the session."""

    id: str
    generation: int
    want: str
    landing: Landing | None = None


def write(path: str, wish: Wish) -> None:
    """Replace the wish at ``path``."""
    write_private(path, json.dumps(asdict(wish), indent=2).encode() + b"\n")


def read(path: str) -> Wish | None:
    """The wish at ``path``; ``None`` for everything that we would not have written ourselves, whoever did."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
        return parse(os.read(descriptor, _LIMIT_BYTES)) if ours else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def parse(content: bytes) -> Wish | None:
    """The wish in ``content``; ``None`` if it is torn or has anything that no wish has."""
    try:
        data = json.loads(content.decode("utf-8"))
        return _wish(**data)
    except (ValueError, TypeError, RecursionError):
        return None


def _wish(*, id: str, generation: int, want: str, landing: dict[str, Any] | None) -> Wish:  # noqa: A002
    _check(_ID.fullmatch(id) and _is_number(generation) and want in _WANTS)
    found = None if landing is None else _landing(**landing)
    _check(want != "reverse" or (found is not None and found.directory))
    return Wish(id, generation, want, found)


def _landing(*, host: str, port: int, host_keys: Any, addresses: Any, directory: str) -> Landing:
    _check(_HOST.fullmatch(host) and _is_number(port) and 0 < port < 65536)
    _check(directory == "" or (_PATH.fullmatch(directory) and "/../" not in f"{directory}/"))
    _check(isinstance(host_keys, list) and all(_KEY.fullmatch(key) for key in host_keys))
    _check(isinstance(addresses, list) and all(ipaddress.ip_address(address) for address in addresses))
    return Landing(host, port, tuple(host_keys), tuple(addresses), directory)


def _check(holds: object) -> None:
    if not holds:
        raise ValueError("not a wish")


def _is_number(value: object) -> bool:
    """JSON's true and false are numbers to Python."""
    return isinstance(value, int) and not isinstance(value, bool)

"""Who listens on a port of this machine, so that a token is shown to nobody else."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

_TABLE = Path("/proc/net/tcp")
_LISTENS = "0A"


def short_name() -> str:
    """This machine's name without its domain, as a session's record has it."""
    return short(socket.gethostname())


def short(host: str) -> str:
    """A host's name without its domain."""
    return host.partition(".")[0].lower()


def is_ours(port: int) -> bool:
    """Whether this user listens on 127.0.0.1:``port``; where the system does not say (no Linux), ``True``."""
    if not sys.platform.startswith("linux"):
        return True
    return owners(_TABLE.read_text(encoding="ascii"), port=port) == {os.geteuid()}


def owners(table: str, *, port: int) -> set[int]:
    """The ids of those who listen on 127.0.0.1:``port`` itself, as /proc/net/tcp says.

    A listener on every address is none of them: the kernel would prefer one on this very address.
    """
    here = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}:{port:04X}"
    rows = [line.split() for line in table.splitlines()[1:]]
    return {int(row[7]) for row in rows if len(row) > 7 and row[1] == here and row[3] == _LISTENS}

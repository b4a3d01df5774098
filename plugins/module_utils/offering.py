# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a server is offered: what Jupyter itself has to listen on for it, and what that needs on this node."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import certificate, node
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.probe import LOOPBACK

_ANY_PORT = 9
"""Of a datagram socket that sends nothing: the kernel only says from which address it would."""


class CannotOffer(HpcJupyterError):
    """The server cannot be offered that way; it goes on as it was."""


@dataclass(frozen=True)
class Listening:
    """What Jupyter listens on: the ``socket``, or a port of ``address``; https with ``tls_sha256``.

    ``port`` is 0 for any that is free.
    """

    socket: str = ""
    address: str = ""
    tls_sha256: str = ""
    port: int = 0

    def serves(self, needed: Listening) -> bool:
        """Whether a server that listens so offers what is needed: the port and which certificate do not matter."""
        wanted = (needed.socket, needed.address, bool(needed.tls_sha256))
        return (self.socket, self.address, bool(self.tls_sha256)) == wanted


def wants_tls(offer: str, tls: str, *, by_port: bool = False) -> bool:
    """Whether the server speaks TLS; ``by_port``: a reverse offer that needs a TCP port of the login host."""
    return tls == "always" or (tls == "auto" and (offer == "lan" or (offer == "reverse" and by_port)))


def listening(
    offer: str, *, socket_path: str, tls: str, pair: certificate.Pair, copies: str, login: Sequence[str],
    by_port: bool = False,
) -> Listening:
    """What ``offer`` needs; raises ``CannotOffer`` where this node cannot."""
    fingerprint = usable(pair, copies=copies) if wants_tls(offer, tls, by_port=by_port) else ""
    if offer in ("socket", "reverse"):
        return Listening(socket=socket_path, tls_sha256=fingerprint)
    return Listening(address=LOOPBACK if offer == "loopback" else node_address(login), tls_sha256=fingerprint)


def usable(pair: certificate.Pair, *, copies: str) -> str:
    """The fingerprint of the account's certificate, once there is a sound copy of it; raises ``CannotOffer``.

    Jupyter reads certificate and key anew for every connection, and the account's may be renewed meanwhile.
    """
    try:
        fingerprint = certificate.copy(pair, copies)
    except (OSError, ValueError) as error:
        raise CannotOffer(
            f"no certificate to speak https with: {pair.certificate}: {getattr(error, 'strerror', '') or error}. "
            "Set jupyter_server_tls to auto or always and run the playbook hpc.jupyter.setup"
        ) from error
    danger = certificate.unsafe(pair)
    if danger:
        raise CannotOffer(
            f"no certificate to speak https with: {pair.directory}: {danger}. "
            "Have a new one made: run the playbook hpc.jupyter.certificates, or hpc-jupyter setup"
        )
    return fingerprint


def node_address(login: Sequence[str]) -> str:
    """The one address of this node that the login host, by its names and addresses, is offered."""
    named = [address for address in node.addresses() if _is_own(address)]
    # Of several networks the one that leads to the login host.
    towards = list(filter(None, map(_towards, login))) if len(named) != 1 else []
    found = next(iter([*(address for address in towards if address in named), *named, *towards]), "")
    if not found:
        where = login[0] if login else "a login host"
        raise CannotOffer(f"{socket.gethostname()} has no address that {where} could reach")
    return found


def _is_own(address: str) -> bool:
    """Whether one can listen there: a name may lead to an address that only a router has."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return True
    return False


def _towards(host: str) -> str:
    """The address that this node would send from to ``host``; nothing is sent."""
    with contextlib.suppress(OSError):
        for family, _kind, _protocol, _name, place in socket.getaddrinfo(host, _ANY_PORT, type=socket.SOCK_DGRAM):
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(place)
                address = str(probe.getsockname()[0])
                if node.is_reachable(address):
                    return address
    return ""

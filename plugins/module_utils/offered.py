# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a session offers: its server, the way back to the login host where one was asked for, and the record of both."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import replace
from typing import Any, Callable

from ansible_collections.hpc.jupyter.plugins.module_utils import jupyter, node, offering, probe
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.claim import NOWHERE, Claim
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.jupyter import CannotStart
from ansible_collections.hpc.jupyter.plugins.module_utils.offering import CannotOffer, Listening
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.run import find_command
from ansible_collections.hpc.jupyter.plugins.module_utils.server import POLL_SECONDS, Place, Server, version
from ansible_collections.hpc.jupyter.plugins.module_utils.signals import Signals
from ansible_collections.hpc.jupyter.plugins.module_utils.tunnel import Tunnel
from ansible_collections.hpc.jupyter.plugins.module_utils.wishes import Landing

_TUNNEL_SECONDS = 40.0
_ASK_SECONDS = 3.0


class Offered:
    """One server after another, and where it is offered; every change is written into the record."""

    def __init__(
        self, claim: Claim, record: Record, place: Place, signals: Signals, *, landing: Landing | None,
        prepare_step: Callable[[], str],
    ) -> None:
        self.server: Server | None = None
        self._claim = claim
        self._record = record
        self._place = place
        self._signals = signals
        self._landing = landing
        self._token = place.check()
        self._offer = ""
        self._target: probe.Target | None = None
        self._tunnel: Tunnel | None = None
        self._prepare_step = prepare_step
        self._step_host_key: str | None = None
        self._known: dict[str, Any] = {}
        self._untold = False
        """Whether the record does not say yet what is."""

    def begin(self, offer: str) -> str:
        """Offer the server as it was asked for; where that cannot be, by a socket, and return why."""
        try:
            self.change(offer)
        except CannotOffer as error:
            if offer in ("socket", "loopback"):
                raise
            self.change("socket", reason=str(error))
            return str(error)
        return ""

    def change(self, offer: str, *, landing: Landing | None = None, reason: str = "") -> None:
        """Offer it another way; raises ``CannotOffer`` where that cannot be, and offers it as before."""
        landing = landing or self._landing
        tunnel = self._open_tunnel(landing) if offer == "reverse" else None
        try:
            self._listen(self._needed(offer, landing, by_port=tunnel is not None and tunnel.by_port), offer)
        except HpcJupyterError:
            if tunnel is not None:
                tunnel.close()
            raise
        if self._tunnel is not None:
            self._tunnel.close()
        self._tunnel, self._offer, self._landing = tunnel, offer, landing
        self._announce(reason=reason)

    def restart(self) -> None:
        """Jupyter anew, offered as it was: on the port that open pages know, too."""
        if self.server is not None:
            by_port = self._tunnel is not None and self._tunnel.by_port
            needed = self._needed(self._offer, self._landing, by_port=by_port)
            self._exchange(self.server, replace(needed, port=self._target.port if self._target else 0), self._offer)
            self._announce()

    def look_after(self) -> None:
        """Heal the way back if it is broken, and note where it begins now."""
        if self._tunnel is not None and self._tunnel.poll():
            self._untold = True
        if self._untold:
            with contextlib.suppress(HpcJupyterError, OSError):
                self._tell()

    def ask(self, path: str) -> probe.Answer | None:
        """What the server answers its owner; ``None`` where it does not, or not at once."""
        if self._target is None or self.server is None or self.server.poll() is not None:
            return None
        try:
            return probe.get(self._target, path, token=self._token, timeout_seconds=_ASK_SECONDS)
        except OSError:
            return None

    def close(self) -> None:
        """End the way back and the server."""
        if self._tunnel is not None:
            self._tunnel.close()
        if self.server is not None:
            self.server.shut_down()

    def _needed(self, offer: str, landing: Landing | None, *, by_port: bool = False) -> Listening:
        login = [landing.host, *landing.addresses] if landing else [self._record.login_host]
        return offering.listening(
            offer, socket_path=self._place.directory.socket, tls=self._place.request.tls, pair=self._place.pair,
            copies=self._place.directory.certificates, login=login, by_port=by_port,
        )

    def _listen(self, needed: Listening, offer: str) -> None:
        """Have a server that listens on what is needed, without taking one away that somebody uses."""
        server = self.server
        if server is None:
            self._start(needed, offer)
        elif not server.listening.serves(needed):
            if server.in_use():
                raise CannotOffer(
                    f"session {self._record.session} is in use: to offer it another way would restart Jupyter and end "
                    "its kernels. Shut them down and close the page first, or stop the session and launch it again"
                )
            self._exchange(server, needed, offer)

    def _exchange(self, server: Server, needed: Listening, offer: str) -> None:
        """Another server in place of this one; the former one again if that does not come up."""
        try:
            self._place.check()
        except HpcJupyterError as error:
            raise CannotOffer(f"{error}. Jupyter was left running as it was") from error
        self._claim.update(lambda record: replace(record, state=rec.STARTING, **NOWHERE))
        server.shut_down()
        try:
            self._start(needed, offer)
        except (HpcJupyterError, OSError) as error:
            if self.server is not None:
                self.server.shut_down()
            self._start_again(server.listening)
            self._announce()
            raise CannotOffer(str(error)) from error

    def _start_again(self, former: Listening) -> None:
        try:
            self._start(former, self._offer)
        except (HpcJupyterError, OSError) as error:
            raise CannotStart(str(error)) from error

    def _start(self, needed: Listening, offer: str) -> None:
        self.server = Server(self._place, needed, token=self._token, signals=self._signals)
        self._known = {
            "offer": offer, "socket": needed.socket, "tls_sha256": needed.tls_sha256, "host_keys": node.host_keys(),
            "addresses": node.addresses(),
        }
        self._tell_ahead()
        if self._step_host_key is None:  # what the session offers besides is made ready while Jupyter starts
            self._step_host_key = self._prepare_step()
        self._target = self.server.prove()

    def _tell_ahead(self) -> None:
        """Where the server is going to be, so that a client is there when it is; of a port nobody knows that yet."""
        if self._known["offer"] == "socket":
            with contextlib.suppress(HpcJupyterError, OSError):  # it is told again once the server is there
                self._claim.update(lambda record: replace(record, **self._known))

    def _open_tunnel(self, landing: Landing | None) -> Tunnel:
        """The way back, open; raises ``CannotOffer`` if it does not open."""
        if landing is None or not landing.directory:
            raise CannotOffer("no login host was named to make a socket on")
        tunnel = _back_to(landing, self._place)
        deadline = time.monotonic() + _TUNNEL_SECONDS
        while tunnel.opened is None:
            tunnel.poll()
            if tunnel.failed_rounds or self._signals.stop or time.monotonic() > deadline:
                tunnel.close()
                raise CannotOffer(tunnel.problem or f"{landing.host} did not answer the node")
            self._signals.wait(POLL_SECONDS)
        return tunnel

    def _announce(self, *, reason: str = "") -> None:
        target = self._target
        if target is None:
            return
        self._known = {
            **self._known, "offer": self._offer, "reason": reason, "port": target.port,
            "address": target.address if self._offer == "lan" else "", "step_host_key": self._step_host_key or "",
            "jupyter_version": version(target), "page": jupyter.page(self._place.request.interface),
        }
        self._untold = True
        self._tell()

    def _tell(self) -> None:
        known = {**self._known, **self._at_login()}
        self._claim.update(lambda record: replace(record, state=rec.READY, how="", **known))
        self._untold = False

    def _at_login(self) -> dict[str, Any]:
        """What the record says of the login host: the one that was asked from leads to the session."""
        opened = self._tunnel.opened if self._tunnel is not None else None
        known: dict[str, Any] = {"login_socket": "", "login_port": 0}
        if opened is not None:
            known = {"login_socket": opened.socket, "login_port": opened.port}
        if self._landing is not None and self._offer in ("lan", "reverse"):
            known.update(login_host=self._landing.host, login_host_keys=list(self._landing.host_keys))
        return known


def _back_to(landing: Landing, place: Place) -> Tunnel:
    """The way back over ``landing``, with the account's own key for it; raises ``CannotOffer``."""
    key = place.layout.reverse_key
    if not os.path.isfile(key):
        raise CannotOffer(
            f"there is no {key} to log in to {landing.host} with: set hpc_route to auto or reverse and run the "
            "playbook hpc.jupyter.setup"
        )
    try:
        ssh = find_command("ssh")
    except FileNotFoundError as error:
        raise CannotOffer(f"{socket.gethostname()}: {error}") from error
    # Modules' libraries are for their own programs: the system's ssh does not start with another libcrypto.
    kept = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "LD_PRELOAD")}
    return Tunnel(landing, ssh=ssh, key=key, socket=place.directory.socket, environment=kept)

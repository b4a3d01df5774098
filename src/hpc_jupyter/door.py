"""The first host on the way, as far as this machine can tell without logging in: is it there, and by which address."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, gateway_alias

_KNOCK_SECONDS = 1.0
_RESOLVE_SECONDS = 10.0
_CONFIG_SECONDS = 10.0


@dataclass
class Door:
    """``name`` is what people call it. Where a program of the person's own leads there, it seems open at all times."""

    name: str
    host: str = ""
    port: int = 0
    _addresses: list[str] = field(default_factory=list)
    _resolved: float = float("-inf")

    @classmethod
    def of(cls, cluster: Cluster, files: Files) -> Door:
        """The first host of the way to ``cluster``, by the ssh configuration that leads there."""
        alias = gateway_alias(cluster, 0) if cluster.gateways else cluster.name
        said = _options(files.batch_config, alias)
        own_way = said.get("proxycommand", "none") != "none" or said.get("proxyjump", "none") != "none"
        host, port = said.get("hostname", ""), said.get("port", "")
        if own_way or not host or not port.isdigit():
            return cls(str(hops(cluster)[0]))
        door = cls(str(hops(cluster)[0]), host, int(port))
        door._resolve()
        return door

    def is_open(self) -> bool:
        """Whether it accepts a connection now; takes a second, and as long as names take if it does not."""
        if not self.host or _accepts(self._addresses, self.port):
            return True
        before = self._addresses
        self._resolve()
        return _accepts([address for address in self._addresses if address not in before], self.port)

    def own_address(self) -> str:
        """The address of this machine that packets to the host would come from; no packet is sent."""
        for address in self._addresses:
            with contextlib.suppress(OSError), socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
                probe.connect((address, self.port))
                return str(probe.getsockname()[0])
        return ""

    def _resolve(self) -> None:
        """A name that is not known at the moment keeps the addresses that it had."""
        if time.monotonic() - self._resolved < _RESOLVE_SECONDS:
            return
        with contextlib.suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            self._addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
        self._resolved = time.monotonic()


def _options(config: str, alias: str) -> dict[str, str]:
    """What ssh itself makes of its configuration; nothing where it cannot say."""
    argv = ["ssh", "-G", "-F", config, "--", alias]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_CONFIG_SECONDS, check=False
        )
        lines = (line.partition(" ") for line in done.stdout.splitlines())
        return {name: value for name, _space, value in lines}
    return {}


def _accepts(addresses: Sequence[str], port: int) -> bool:
    """Whether any of them does, asked all at once."""
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as waiting:
        for address in addresses:
            knock = stack.enter_context(socket.socket(_family(address), socket.SOCK_STREAM))
            knock.setblocking(False)
            with contextlib.suppress(OSError):
                if knock.connect_ex((address, port)) in (0, errno.EINPROGRESS):
                    waiting.register(knock, selectors.EVENT_WRITE, knock)
        deadline = time.monotonic() + _KNOCK_SECONDS
        while waiting.get_map() and time.monotonic() < deadline:
            for key, _events in waiting.select(max(0.0, deadline - time.monotonic())):
                waiting.unregister(key.fileobj)
                if not key.data.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return True
    return False


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET

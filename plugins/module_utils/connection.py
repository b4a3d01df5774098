# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP to a Jupyter server over its Unix socket or its port, and to no other server where its certificate is known."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from typing import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.probe import Answer, BadAnswer, OtherCertificate, Target


class Connection(http.client.HTTPConnection):
    """HTTP to a target; the certificate is compared before anything is sent."""

    def __init__(self, target: Target, *, timeout: float) -> None:
        # The server takes only a name of its own machine for its own: the forward's end.
        super().__init__("localhost", timeout=timeout)
        self._target = target

    def connect(self) -> None:
        """Connect to the target, whatever the name in the request."""
        plain = _open(self._target, timeout=self.timeout)
        try:
            self.sock = _pinned(plain, self._target.tls_sha256) if self._target.tls_sha256 else plain
        except BaseException:
            plain.close()
            raise


def exchange(target: Target, method: str, path: str, *, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
    """One request and its answer; raises ``OSError`` where nobody answers as a server does."""
    connection = Connection(target, timeout=timeout_seconds)
    try:
        connection.request(method, target.base_url + path, headers=dict(headers))
        response = connection.getresponse()
        cookies = "; ".join(each.split(";")[0] for each in response.headers.get_all("Set-Cookie") or [])
        return Answer(response.status, response.read(), cookies)
    except http.client.HTTPException as error:
        if isinstance(error, OSError):
            raise
        raise BadAnswer(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


def _open(target: Target, *, timeout: float | None) -> socket.socket:
    if not target.socket:
        return socket.create_connection((target.address, target.port), timeout=timeout)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout)
    try:
        made.connect(target.socket)
    except BaseException:
        made.close()
        raise
    return made


def _pinned(plain: socket.socket, expected: str) -> ssl.SSLSocket:
    """TLS with the very server whose certificate it is; the fingerprint replaces authorities and names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    secure = context.wrap_socket(plain)
    found = hashlib.sha256(secure.getpeercert(binary_form=True) or b"").hexdigest()
    if found != expected:
        secure.close()
        raise OtherCertificate(f"another certificate answers: {found} in place of {expected}")
    return secure

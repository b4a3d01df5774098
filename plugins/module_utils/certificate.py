# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's private key, which never leaves it, and the self-signed certificate for it; both made by openssl."""

from __future__ import annotations

import hashlib
import os
import ssl
import stat
import tempfile
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result, run

_SETTINGS = """
[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = localhost
[extensions]
subjectAltName = DNS:localhost, IP:127.0.0.1
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
"""
"""A file and not options, which older releases of openssl lack."""


@dataclass(frozen=True)
class Pair:
    """The two files, in the account's 0700 directory."""

    directory: str

    @property
    def key(self) -> str:
        """The private key, 0600."""
        return os.path.join(self.directory, "key.pem")

    @property
    def certificate(self) -> str:
        """The certificate."""
        return os.path.join(self.directory, "cert.pem")


def problem(pair: Pair, *, renew_days: int) -> str:
    """Why the pair has to be made anew; empty if it is good for ``renew_days`` more."""
    for path in (pair.key, pair.certificate):
        if not os.path.isfile(path):
            return f"there is no {os.path.basename(path)}"
    if stat.S_IMODE(os.stat(pair.key).st_mode) & 0o077:
        return "others could read key.pem"
    if _openssl(["x509", "-in", pair.certificate, "-noout"]).code != 0:
        return "cert.pem is damaged"
    mine = _openssl(["pkey", "-in", pair.key, "-pubout"])
    if mine.code != 0 or mine.out != _openssl(["x509", "-in", pair.certificate, "-noout", "-pubkey"]).out:
        return "key.pem does not belong to cert.pem"
    if _openssl(["x509", "-in", pair.certificate, "-noout", "-checkend", str(renew_days * 86400)]).code != 0:
        return f"cert.pem ends within {renew_days} days"
    return ""


def make(pair: Pair, *, days: int) -> None:
    """Make a new key and a certificate that is good for ``days``."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=pair.directory) as scratch:
        new = Pair(scratch)
        _generate_key(new.key)
        _sign(new, days=days)
        os.replace(new.key, pair.key)
        os.replace(new.certificate, pair.certificate)


def _generate_key(path: str) -> None:
    # Made here first, so that openssl never decides who may read it.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    _must(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])


def _sign(pair: Pair, *, days: int) -> None:
    settings = os.path.join(pair.directory, "openssl.cnf")
    with open(settings, "w", encoding="ascii") as stream:
        stream.write(_SETTINGS)
    _must(["req", "-new", "-x509", "-sha256", "-key", pair.key, "-days", str(days), "-config", settings,
           "-out", pair.certificate])
    os.chmod(pair.certificate, 0o600)


def fingerprint(pair: Pair) -> str:
    """The SHA-256 of the certificate, in hexadecimal digits; empty if there is none."""
    try:
        with open(pair.certificate, encoding="ascii") as stream:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(stream.read())).hexdigest()
    except (OSError, ValueError):
        return ""


def _must(argv: Sequence[str]) -> None:
    result = _openssl(argv)
    if result.code != 0:
        raise HpcJupyterError(f"openssl {argv[0]} failed: {(result.err.strip().splitlines() or ['no message'])[-1]}")


def _openssl(argv: Sequence[str]) -> Result:
    try:
        return run(["openssl", *argv], timeout_seconds=60)
    except FileNotFoundError:
        raise HpcJupyterError(
            "there is no openssl on this account to make a certificate with; "
            "to do without, set jupyter_server_tls to never"
        ) from None

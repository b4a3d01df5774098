# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's private key, which never leaves it, and the certificate for it: self-signed, or an authority's."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory, write_private
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
ASKED_FOR = "a new one is asked for"
"""Why a pair that is good is made anew."""
_RENEWAL_SECONDS, _PAUSE_SECONDS = 0.5, 0.05
"""One file is replaced after the other: whoever comes in between sees two that do not belong together."""


# ``ssl`` is imported where it is used: it takes long to load, and most sessions need it only once Jupyter starts.


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

    @property
    def next_key(self) -> str:
        """The private key that an authority is signing a certificate for; 0600."""
        return os.path.join(self.directory, "next-key.pem")


def problem(pair: Pair, *, renew_days: int) -> str:
    """Why the pair has to be made anew; empty if it is good for ``renew_days`` more."""
    for path in (pair.key, pair.certificate):
        if not os.path.isfile(path):
            return f"there is no {os.path.basename(path)}"
    if stat.S_IMODE(os.stat(pair.key).st_mode) & 0o077:
        return "others could read key.pem"
    # one run of openssl that prints the public key and exits by the end
    seen = _openssl(["x509", "-in", pair.certificate, "-noout", "-pubkey", "-checkend", str(renew_days * 86400)])
    if not seen.out.startswith("-----BEGIN PUBLIC KEY-----"):
        return "cert.pem is damaged"
    if not seen.out.startswith(_public(pair.key) or "none"):
        return "key.pem does not belong to cert.pem"
    if seen.code != 0:
        return f"cert.pem ends within {renew_days} days" if renew_days else "cert.pem has ended"
    return ""


def change(pair: Pair, before: str, problem: str, make: Callable[[], None]) -> Change:
    """A new certificate in the place of the one with the fingerprint ``before``; never shows a key."""
    why = f"# {problem}\n" if problem else ""
    return Change(pair.certificate, f"SHA-256 {before}\n" if before else "", f"{why}SHA-256 (new)\n", make)


def make(pair: Pair, *, days: int) -> None:
    """Make a new key and a self-signed certificate that is good for ``days``."""
    with _scratch(pair) as new:
        _generate_key(new.key)
        _sign(new, days=days)
        os.replace(new.key, pair.key)
        os.replace(new.certificate, pair.certificate)


def request(pair: Pair) -> str:
    """Make a new key beside the one in use, and the request for its certificate; what is in use stays as it is."""
    with _scratch(pair) as new:
        _generate_key(new.key)
        settings = _settings(new)
        made = _must(["req", "-new", "-sha256", "-key", new.key, "-config", settings])
        os.replace(new.key, pair.next_key)
    return made.out


def install(pair: Pair, signed: str) -> None:
    """Use the certificate that an authority has signed upon ``request``, with the key that was made then."""
    with _scratch(pair) as new:
        with open(new.certificate, "w", encoding="ascii", opener=_private) as stream:
            stream.write(signed)
        if not _belong_together(pair.next_key, new.certificate):
            raise HpcJupyterError("the certificate is not for the key that was made for it; run it again")
        os.replace(pair.next_key, pair.key)
        os.replace(new.certificate, pair.certificate)


def copied(directory: str, fingerprint: str) -> Pair:
    """The copy in ``directory`` of the pair whose certificate has this fingerprint."""
    return Pair(os.path.join(directory, fingerprint))


def copy(pair: Pair, directory: str) -> str:
    """Copy the pair to where ``copied`` finds it, and give its fingerprint.

    Raises ``OSError`` or ``ValueError`` where there is none whose parts belong together.
    """
    import ssl

    make_private_directory(directory)
    deadline = time.monotonic() + _RENEWAL_SECONDS
    while True:
        try:
            return _copy(pair, directory)
        except ssl.SSLError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


def _copy(pair: Pair, directory: str) -> str:
    import ssl

    with _scratch(Pair(directory)) as new:
        for source, target in ((pair.certificate, new.certificate), (pair.key, new.key)):
            with open(source, "rb") as stream:
                write_private(target, stream.read())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(new.certificate, new.key)
        found = fingerprint(new)
        kept = copied(directory, found)
        make_private_directory(kept.directory)
        os.replace(new.key, kept.key)
        os.replace(new.certificate, kept.certificate)
    return found


def text(pair: Pair) -> str:
    """The certificate as it is; empty if there is none."""
    try:
        with open(pair.certificate, encoding="ascii") as stream:
            return stream.read()
    except (OSError, ValueError):
        return ""


def unsafe(pair: Pair) -> str:
    """Why no session may use the pair now, although its parts belong together; empty if one may."""
    if stat.S_IMODE(os.stat(pair.key).st_mode) & 0o077:
        return "others could read key.pem"
    try:
        ended = _openssl(["x509", "-in", pair.certificate, "-noout", "-checkend", "0"]).code != 0
    except HpcJupyterError:  # a node without openssl
        return ""
    return "cert.pem has ended" if ended else ""


@contextlib.contextmanager
def _scratch(pair: Pair) -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix=".new-", dir=pair.directory) as scratch:
        yield Pair(scratch)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _belong_together(key: str, certificate: str) -> bool:
    theirs = _openssl(["x509", "-in", certificate, "-noout", "-pubkey"]).out
    return bool(theirs) and theirs == _public(key)


def _public(key: str) -> str:
    """The public key that belongs to a private one; empty if that is none."""
    mine = _openssl(["pkey", "-in", key, "-pubout"])
    return mine.out if mine.code == 0 else ""


def _generate_key(path: str) -> None:
    # Made here first, so that openssl never decides who may read it.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    _must(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])


def _settings(pair: Pair) -> str:
    settings = os.path.join(pair.directory, "openssl.cnf")
    with open(settings, "w", encoding="ascii") as stream:
        stream.write(_SETTINGS)
    return settings


def _sign(pair: Pair, *, days: int) -> None:
    settings = _settings(pair)
    _must(["req", "-new", "-x509", "-sha256", "-key", pair.key, "-days", str(days), "-config", settings,
           "-out", pair.certificate])
    os.chmod(pair.certificate, 0o600)


def fingerprint(pair: Pair) -> str:
    """The SHA-256 of the certificate, in hexadecimal digits; empty if there is none."""
    import ssl

    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text(pair))).hexdigest()
    except ValueError:
        return ""


def _must(argv: Sequence[str]) -> Result:
    result = _openssl(argv)
    if result.code != 0:
        raise HpcJupyterError(f"openssl {argv[0]} failed: {(result.err.strip().splitlines() or ['no message'])[-1]}")
    return result


def _openssl(argv: Sequence[str]) -> Result:
    try:
        return run(["openssl", *argv], timeout_seconds=60)
    except FileNotFoundError:
        raise HpcJupyterError(
            "there is no openssl on this account to make a certificate with; "
            "to do without, set jupyter_server_tls to never"
        ) from None

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's certificate authority: made once, bound to this machine's own names, it signs the accounts' certificates."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private

with contextlib.suppress(ImportError):  # ansible-core brings it, but not where its tests merely import this file
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import pkcs12
    from cryptography.x509.oid import ExtendedKeyUsageOID

SHORTEST = 12
"""Characters of a passphrase."""
LONGEST_DAYS = 397
"""Of a certificate: some browsers take none that is good for longer."""

_NAMES = ("localhost",)
_ADDRESSES = ("127.0.0.1", "::1")
_ROUNDS = 600_000
_KEY_BITS = 256
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_NAME = re.compile(r"[^\W_][\w .,'()&+-]{0,39}")
_WIDEST = {4: 8, 6: 32}
_EARLIER = dt.timedelta(hours=1)
"""Clocks of laptops differ."""


@dataclass(frozen=True)
class Place:
    """The directory of an authority on the controller; nothing but the key is secret."""

    directory: str

    @property
    def certificate(self) -> str:
        """The certificate, which everybody may have."""
        return os.path.join(self.directory, "ca.pem")

    @property
    def key(self) -> str:
        """The private key, 0600 and encrypted with the passphrase."""
        return os.path.join(self.directory, "ca-key.p12")


@dataclass(frozen=True)
class Authority:
    """An authority's certificate, known to be bound to names; ``domains`` and ``networks`` are those."""

    place: Place
    certificate: x509.Certificate
    domains: tuple[str, ...]
    networks: tuple[str, ...]

    @property
    def name(self) -> str:
        """What browsers show."""
        return str(self.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)

    @property
    def sha256(self) -> str:
        """The certificate's fingerprint, in hexadecimal digits."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def days_left(self) -> int:
        """Whole days until its end; negative after it."""
        return (self.certificate.not_valid_after_utc - _now()).days

    @property
    def has_key(self) -> bool:
        """Whether this machine has the key."""
        return os.path.exists(self.place.key)

    def obstacle(self, *, passphrase: bool) -> str:
        """Why it cannot sign now; empty if it can."""
        if self.days_left < 1:
            return f"the authority {self.place.certificate} ended on {self.certificate.not_valid_after_utc:%Y-%m-%d}"
        if not self.has_key:
            return f"its key {self.place.key} is not on this machine"
        return "" if passphrase else "its passphrase was not given"

    def vouches(self, pem: str) -> bool:
        """Whether it has signed the certificate."""
        try:
            x509.load_pem_x509_certificate(pem.encode()).verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def problem(self, pem: str, *, renew_days: int) -> str:
        """Why an account needs another certificate than ``pem``, which is sound in itself; empty if it does not."""
        if not self.vouches(pem):
            return "cert.pem is not the lab's authority's"
        found = x509.load_pem_x509_certificate(pem.encode())
        if _names(found) != set(_server()):
            return "cert.pem is for other names"
        end = found.not_valid_after_utc
        # One that ends with the authority itself would not last longer if it were renewed.
        longer = end < self.certificate.not_valid_after_utc - dt.timedelta(days=1)
        if end - _now() < dt.timedelta(days=renew_days) and longer:
            return f"cert.pem ends within {renew_days} days"
        return ""

    def signer(self, passphrase: str) -> Signer:
        """What signs; raises ``HpcJupyterError`` if the passphrase is wrong or the key is in danger."""
        path = self.place.key
        if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
            raise HpcJupyterError(f"others could read {path}, so it is not used. Take it from them: chmod 600 {path}")
        with open(path, "rb") as stream:
            content = stream.read()
        try:
            key, _certificate, _others = pkcs12.load_key_and_certificates(content, passphrase.encode())
        except ValueError as error:
            wrong = "nvalid password" in str(error)
            raise HpcJupyterError(f"{path}: {'the passphrase is wrong' if wrong else 'the file is damaged'}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self.certificate.public_key():
            raise HpcJupyterError(f"{path} does not belong to {self.place.certificate}")
        return Signer(self, key)


@dataclass(frozen=True)
class Signer:
    """An authority with its key."""

    authority: Authority
    key: ec.EllipticCurvePrivateKey

    def sign(self, request: str, *, days: int) -> str:
        """A certificate for the key in ``request``, as PEM; whatever else the request asks for is not looked at."""
        lab = self.authority.certificate
        key = _requested_key(request)
        now = _now()
        end = min(now + dt.timedelta(days=min(days, LONGEST_DAYS)), lab.not_valid_after_utc)
        builder = _builder(_common_name("localhost"), lab.subject, key, now=now, end=end)
        for extension, critical in (
            (x509.SubjectAlternativeName(_server()), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(sign=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        return _pem(builder.sign(self.key, hashes.SHA256()))


def beside(sources: Sequence[str]) -> str:
    """``ca`` in the directory that holds the inventory; empty without one that is a path.

    Not inside an inventory that is a directory: there Ansible takes every file for a source.
    """
    found = next((source for source in sources if "," not in source and os.path.exists(source)), "")
    return os.path.join(os.path.dirname(os.path.abspath(found)), "ca") if found else ""


def read(place: Place) -> Authority | None:
    """The authority, if there is one; raises ``HpcJupyterError`` if it could vouch for anything but what it lists."""
    return _read(place) if place.directory and os.path.exists(place.certificate) else None


def _read(place: Place) -> Authority:
    with open(place.certificate, "rb") as stream:
        content = stream.read()
    try:
        certificate = x509.load_pem_x509_certificate(content)
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise HpcJupyterError(f"{place.certificate} is damaged, or not a certificate authority's") from error
    domains, networks = _bounds(certificate, place.certificate)
    return Authority(place, certificate, domains, networks)


def make(
    place: Place, *, name: str, passphrase: str, domains: Sequence[str] = (), networks: Sequence[str] = (), days: int
) -> Authority:
    """Make the authority, all of it or nothing; raises ``BadInput``, and ``HpcJupyterError`` if there is one."""
    _check_name(name)
    check_passphrase(passphrase)
    bounds = _constraints(domains, networks)
    check_free(place)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, f"{name} {secrets.token_hex(4)}", bounds, days=days)
    os.makedirs(os.path.dirname(place.directory), exist_ok=True)
    new = tempfile.mkdtemp(prefix=".new-ca-", dir=os.path.dirname(place.directory))
    try:
        _write(Place(new), key, certificate, passphrase)
        os.rename(new, place.directory)  # fails where somebody else has just made one
    except BaseException:
        shutil.rmtree(new)
        raise
    return _read(place)


def check_free(place: Place) -> None:
    """Raise ``HpcJupyterError`` if there is an authority already."""
    there = [path for path in (place.certificate, place.key) if os.path.lexists(path)]
    if there:
        raise HpcJupyterError(
            f"there is an authority already: {there[0]}. Browsers trust it, so it is not replaced; see it with "
            "hpc-jupyter ca show. To begin anew, take it out of every browser and move its directory away"
        )
    if os.path.isdir(place.directory) and os.listdir(place.directory):
        raise HpcJupyterError(f"{place.directory} holds something else. Name another directory: --directory DIR")


def check_passphrase(passphrase: str) -> None:
    """Raise ``BadInput`` if it is too short to protect anything."""
    if len(passphrase) < SHORTEST:
        raise BadInput("passphrase", f"has fewer than {SHORTEST} characters")


def renew_days(days: int) -> int:
    """How long before its end a certificate is renewed that is good for ``days``."""
    return min(30, min(days, LONGEST_DAYS) // 3)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        hint = "Allowed are letters, digits, spaces and .,'()&+-, at most 40"
        raise BadInput("--name", f"{name!r} is not a name", hint=hint)


def _constraints(domains: Sequence[str], networks: Sequence[str]) -> x509.NameConstraints:
    names = dict.fromkeys((*_NAMES, *map(_domain, domains)))
    ranges = dict.fromkeys((*map(ipaddress.ip_network, _ADDRESSES), *map(_network, networks)))
    permitted = [*map(x509.DNSName, names), *map(x509.IPAddress, ranges)]
    return x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None)


def _domain(text: str) -> str:
    domain = text.lower()
    if not _DOMAIN.fullmatch(domain):
        raise BadInput("--domain", f"{text!r} is not a domain", hint="Write it in full, such as cluster.example.org")
    return domain


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise BadInput("--network", f"{text!r} is not a network", hint="Write it as 10.1.0.0/16") from None
    if network.prefixlen < _WIDEST[network.version]:
        raise BadInput(
            "--network", f"{text} is too wide", hint=f"Allowed are /{_WIDEST[network.version]} and narrower ones"
        )
    return network


def _bounds(certificate: x509.Certificate, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What it may vouch for. One that may vouch for any site must get into nobody's browser."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        bounds = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except (x509.ExtensionNotFound, ValueError):
        raise HpcJupyterError(_unbound(path)) from None
    permitted = bounds.value.permitted_subtrees or []
    domains = tuple(str(item.value) for item in permitted if isinstance(item, x509.DNSName))
    networks = tuple(str(item.value) for item in permitted if isinstance(item, x509.IPAddress))
    try:
        narrow = [*map(_domain, set(domains) - set(_NAMES)), *map(_network, networks)]
    except BadInput:
        narrow = []
    if not (basic.value.ca and bounds.critical and domains and networks and narrow):
        raise HpcJupyterError(_unbound(path))
    return domains, networks


def _unbound(path: str) -> str:
    return (
        f"{path} could vouch for any site: it has no critical name constraints for names and addresses, so it is not "
        "used. Make an authority with hpc-jupyter ca make"
    )


def _self_signed(
    key: ec.EllipticCurvePrivateKey, name: str, bounds: x509.NameConstraints, *, days: int
) -> x509.Certificate:
    now, subject = _now(), _common_name(name)
    builder = _builder(subject, subject, key.public_key(), now=now, end=now + dt.timedelta(days=days))
    for extension, critical in (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage(sign=True), True),
        (bounds, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer, subject, key, x509.random_serial_number(), not_valid_before=now - _EARLIER, not_valid_after=end
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=sign, crl_sign=sign, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _requested_key(request: str) -> ec.EllipticCurvePublicKey:
    """The account is not trusted with more than its own key, which it must have."""
    try:
        found = x509.load_pem_x509_csr(request.encode())
        key, held = found.public_key(), found.is_signature_valid
    except (ValueError, TypeError) as error:
        raise HpcJupyterError("what the account sent is not a request for a certificate") from error
    if not (held and isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= _KEY_BITS):
        raise HpcJupyterError("the account asks for a certificate with a key that it does not hold, or of another kind")
    return key


def _server() -> list[x509.GeneralName]:
    """What a forward is opened under in the browser."""
    return [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def _names(certificate: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _write(place: Place, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, passphrase: str) -> None:
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase.encode())
    )
    write_private(place.key, pkcs12.serialize_key_and_certificates(None, key, None, None, encryption))
    write_private(place.certificate, _pem(certificate).encode(), mode=0o644)
    write_private(os.path.join(place.directory, ".gitignore"), b"ca-key.p12\n", mode=0o644)
    os.chmod(place.directory, 0o755)  # noqa: S103 - the certificate is for everybody


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)

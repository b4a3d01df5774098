# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> authority.Authority:
    place = authority.Place(str(tmp_path_factory.mktemp("lab") / "ca"))
    return authority.make(
        place, name="Chemistry", passphrase=PASSPHRASE, domains=["Cluster.example.org"], networks=["10.1.0.0/16"],
        days=3650,
    )


def request(key: ec.EllipticCurvePrivateKey, name: str = "localhost") -> str:
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_an_authority_is_bound_and_private(lab: authority.Authority) -> None:
    assert lab.domains == ("localhost", "cluster.example.org")
    assert lab.networks == ("127.0.0.1/32", "::1/128", "10.1.0.0/16")
    assert lab.certificate.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert lab.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert lab.name.startswith("Chemistry ")
    assert lab.days_left in (3649, 3650)
    modes = [os.stat(path).st_mode & 0o777 for path in (lab.place.certificate, lab.place.key)]
    assert modes == [0o644, 0o600]
    assert b"PRIVATE" not in Path(lab.place.key).read_bytes()
    assert Path(lab.place.directory, ".gitignore").read_text() == "ca-key.p12\n"


def test_what_an_account_asks_for_beside_its_key_does_not_count(lab: authority.Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = lab.signer(PASSPHRASE).sign(request(key, "bank.example.com"), days=3650)
    made = x509.load_pem_x509_certificate(pem.encode())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1"]
    assert made.public_key() == key.public_key()
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == authority.LONGEST_DAYS
    assert (lab.problem(pem, renew_days=30), lab.vouches(pem)) == ("", True)


def test_a_certificate_near_its_end_is_renewed_and_a_foreign_one_replaced(lab: authority.Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = lab.signer(PASSPHRASE).sign(request(key), days=20)
    assert lab.problem(pem, renew_days=30) == "cert.pem ends within 30 days"
    assert lab.problem(pem, renew_days=authority.renew_days(20)) == ""
    assert lab.problem("", renew_days=30) == "cert.pem is not the lab's authority's"


def test_what_ends_with_the_authority_is_not_renewed_again_and_again(tmp_path: Path) -> None:
    place = authority.Place(str(tmp_path / "ca"))
    short = authority.make(place, name="Lab", passphrase=PASSPHRASE, days=10)
    pem = short.signer(PASSPHRASE).sign(request(ec.generate_private_key(ec.SECP256R1())), days=365)
    assert x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc == short.certificate.not_valid_after_utc
    assert short.problem(pem, renew_days=30) == ""


def test_a_wrong_passphrase_is_said(lab: authority.Authority) -> None:
    with pytest.raises(HpcJupyterError) as caught:
        lab.signer("wrong horse battery")
    assert str(caught.value) == f"{lab.place.key}: the passphrase is wrong"


def test_a_key_that_others_could_read_is_not_used(lab: authority.Authority) -> None:
    key = lab.place.key
    os.chmod(key, 0o640)
    try:
        with pytest.raises(HpcJupyterError) as caught:
            lab.signer(PASSPHRASE)
    finally:
        os.chmod(key, 0o600)
    assert str(caught.value) == f"others could read {key}, so it is not used. Take it from them: chmod 600 {key}"


def test_there_is_one_authority(lab: authority.Authority) -> None:
    before = Path(lab.place.certificate).read_bytes()
    with pytest.raises(HpcJupyterError) as caught:
        authority.make(lab.place, name="Lab", passphrase=PASSPHRASE, days=10)
    assert str(caught.value).startswith(f"there is an authority already: {lab.place.certificate}. ")
    assert Path(lab.place.certificate).read_bytes() == before
    assert os.listdir(os.path.dirname(lab.place.directory)) == ["ca"]


@pytest.mark.parametrize(("given", "message"), [
    ({"name": "a\nb"}, "--name: 'a\\nb' is not a name. Allowed are letters, digits, spaces and .,'()&+-, at most 40"),
    ({"domains": ["org"]}, "--domain: 'org' is not a domain. Write it in full, such as cluster.example.org"),
    ({"domains": ["*.x.org"]}, "--domain: '*.x.org' is not a domain. Write it in full, such as cluster.example.org"),
    ({"networks": ["0.0.0.0/0"]}, "--network: 0.0.0.0/0 is too wide. Allowed are /8 and narrower ones"),
    ({"networks": ["10.1.2.3/8"]}, "--network: '10.1.2.3/8' is not a network. Write it as 10.1.0.0/16"),
    ({"passphrase": "short"}, "passphrase: has fewer than 12 characters"),
])
def test_bad_input_makes_nothing(tmp_path: Path, given: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"name": "Lab", "passphrase": PASSPHRASE, **given}
    with pytest.raises(BadInput) as caught:
        authority.make(authority.Place(str(tmp_path / "ca")), days=10, **arguments)  # type: ignore[arg-type]
    assert str(caught.value) == message
    assert os.listdir(str(tmp_path)) == []


def unbound(key: ec.EllipticCurvePrivateKey, *constraints: x509.NameConstraints) -> bytes:
    made = authority._builder(
        authority._common_name("Lab"), authority._common_name("Lab"), key.public_key(), now=authority._now(),
        end=authority._now().replace(year=2099),
    ).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    for each in constraints:
        made = made.add_extension(each, critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("constraints", [(), (authority._constraints([], []),)], ids=["none", "not critical"])
def test_an_authority_that_could_vouch_for_any_site_is_refused(
    tmp_path: Path, constraints: tuple[x509.NameConstraints, ...]
) -> None:
    (tmp_path / "ca.pem").write_bytes(unbound(ec.generate_private_key(ec.SECP256R1()), *constraints))
    with pytest.raises(HpcJupyterError, match=r"ca\.pem could vouch for any site: it has no critical name constraints"):
        authority.read(authority.Place(str(tmp_path)))


def test_a_request_that_is_none_is_refused(lab: authority.Authority) -> None:
    with pytest.raises(HpcJupyterError, match="is not a request for a certificate"):
        lab.signer(PASSPHRASE).sign("torn", days=10)
    der = bytearray(x509.load_pem_x509_csr(request(ec.generate_private_key(ec.SECP256R1())).encode()).public_bytes(
        serialization.Encoding.DER
    ))
    der[-1] ^= 1
    for asked in (x509.load_der_x509_csr(bytes(der)), x509.load_pem_x509_csr(_by_another_kind_of_key())):
        pem = asked.public_bytes(serialization.Encoding.PEM).decode()
        with pytest.raises(HpcJupyterError, match="with a key that it does not hold, or of another kind"):
            lab.signer(PASSPHRASE).sign(pem, days=10)


def _by_another_kind_of_key() -> bytes:
    made = x509.CertificateSigningRequestBuilder(authority._common_name("localhost"))
    return made.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(serialization.Encoding.PEM)


def test_where_an_authority_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").touch()
    (tmp_path / "inventory").mkdir()
    assert authority.beside([str(tmp_path / "hosts.yml")]) == str(tmp_path / "ca")
    assert authority.beside(["a,b", str(tmp_path / "inventory")]) == str(tmp_path / "ca")
    assert authority.beside(["localhost,"]) == ""
    assert authority.read(authority.Place("")) is None
    assert authority.read(authority.Place(str(tmp_path / "ca"))) is None

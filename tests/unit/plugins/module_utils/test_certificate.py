# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import NoReturn

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate
from ansible_collections.hpc.jupyter.plugins.module_utils.certificate import Pair
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Pair:
    made = Pair(str(tmp_path))
    certificate.make(made, days=90)
    return made


def _openssl(*argv: str) -> str:
    done = subprocess.run(["openssl", *argv], stdout=subprocess.PIPE, check=True, timeout=60)
    return done.stdout.decode()


def test_a_new_pair_is_good_and_private(pair: Pair) -> None:
    assert certificate.problem(pair, renew_days=30) == ""
    assert sorted(os.listdir(pair.directory)) == ["cert.pem", "key.pem"]
    assert os.stat(pair.key).st_mode & 0o777 == 0o600
    text = _openssl("x509", "-in", pair.certificate, "-noout", "-text")
    assert "DNS:localhost, IP Address:127.0.0.1" in text
    assert "CA:FALSE" in text
    printed = _openssl("x509", "-in", pair.certificate, "-noout", "-fingerprint", "-sha256").split("=")[1]
    assert certificate.fingerprint(pair) == printed.strip().replace(":", "").lower()


def test_the_same_pair_is_never_made_twice(pair: Pair) -> None:
    before = certificate.fingerprint(pair)
    certificate.make(pair, days=90)
    assert certificate.fingerprint(pair) != before


def test_a_certificate_near_its_end_is_renewed(pair: Pair) -> None:
    assert certificate.problem(pair, renew_days=91) == "cert.pem ends within 91 days"


def test_what_is_wrong_with_a_pair_is_said(pair: Pair, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    certificate.make(Pair(str(other)), days=90)
    shutil.copy(str(other / "key.pem"), pair.key)
    os.chmod(pair.key, 0o600)
    assert certificate.problem(pair, renew_days=1) == "key.pem does not belong to cert.pem"
    os.chmod(pair.key, 0o644)
    assert certificate.problem(pair, renew_days=1) == "others could read key.pem"
    os.unlink(pair.key)
    assert certificate.problem(pair, renew_days=1) == "there is no key.pem"


def test_a_damaged_certificate_is_noticed(pair: Pair) -> None:
    with open(pair.certificate, "w", encoding="ascii") as stream:
        stream.write("-----BEGIN CERTIFICATE-----\n")
    assert certificate.problem(pair, renew_days=1) == "cert.pem is damaged"
    assert certificate.fingerprint(pair) == ""


def _signed(pair: Pair, request: str, signer: Pair) -> str:
    """What an authority would make of the request."""
    place = pathlib.Path(pair.directory)
    (place / "csr").write_text(request)
    _openssl(
        "x509", "-req", "-in", str(place / "csr"), "-CA", signer.certificate, "-CAkey", signer.key, "-set_serial", "7",
        "-days", "9", "-out", str(place / "signed"),
    )
    return (place / "signed").read_text()


def test_a_certificate_that_was_signed_elsewhere_is_installed_with_its_key(pair: Pair) -> None:
    used, key = certificate.fingerprint(pair), pathlib.Path(pair.key).read_bytes()
    asked = certificate.request(pair)
    assert (certificate.fingerprint(pair), pathlib.Path(pair.key).read_bytes()) == (used, key)
    assert os.stat(pair.next_key).st_mode & 0o777 == 0o600
    signed = _signed(pair, asked, pair)
    certificate.install(pair, signed)
    assert certificate.text(pair) == signed
    assert certificate.problem(pair, renew_days=1) == ""
    assert pathlib.Path(pair.key).read_bytes() != key
    assert [os.stat(path).st_mode & 0o777 for path in (pair.key, pair.certificate)] == [0o600, 0o600]
    assert not os.path.exists(pair.next_key)


def test_a_certificate_for_another_key_is_not_installed(pair: Pair) -> None:
    before = certificate.text(pair)
    certificate.request(pair)
    with pytest.raises(HpcJupyterError) as caught:
        certificate.install(pair, before)
    assert str(caught.value) == "the certificate is not for the key that was made for it; run it again"
    assert certificate.text(pair) == before
    assert certificate.problem(pair, renew_days=1) == ""


def test_a_node_without_openssl_takes_the_pair_as_it_is_unless_others_could_read_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "run", _no_such_command)
    assert certificate.unsafe(pair) == ""
    os.chmod(pair.key, 0o640)
    assert certificate.unsafe(pair) == "others could read key.pem"


def _no_such_command(*_argv: object, **_options: object) -> NoReturn:
    raise FileNotFoundError


def test_a_missing_openssl_is_said_with_a_way_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "run", _no_such_command)
    with pytest.raises(HpcJupyterError) as caught:
        certificate.make(Pair(str(tmp_path)), days=1)
    assert str(caught.value) == (
        "there is no openssl on this account to make a certificate with; "
        "to do without, set jupyter_server_tls to never"
    )

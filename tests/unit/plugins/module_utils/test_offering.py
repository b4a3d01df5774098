# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate, node, offering


@pytest.mark.parametrize(("offer", "by_port", "tls", "wanted"), [
    ("socket", False, "auto", False), ("loopback", False, "auto", False), ("reverse", False, "auto", False),
    ("lan", False, "auto", True), ("reverse", True, "auto", True),
    ("socket", False, "always", True), ("loopback", False, "always", True), ("reverse", False, "always", True),
    ("lan", False, "never", False), ("reverse", True, "never", False),
])
def test_tls_is_where_a_port_of_the_cluster_is_in_the_way(offer: str, by_port: bool, tls: str, wanted: bool) -> None:
    assert offering.wants_tls(offer, tls, by_port=by_port) is wanted


def _listening(offer: str, tls: str, place: Path) -> offering.Listening:
    pair = certificate.Pair(str(place))
    copies = str(place / "copies")
    return offering.listening(offer, socket_path="/tmp/s", tls=tls, pair=pair, copies=copies, login=["login1"])


def test_what_each_offer_listens_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "addresses", lambda: ["203.0.113.9", "127.0.0.7"])
    assert _listening("socket", "auto", tmp_path) == offering.Listening(socket="/tmp/s")
    assert _listening("reverse", "auto", tmp_path) == offering.Listening(socket="/tmp/s")
    assert _listening("loopback", "auto", tmp_path) == offering.Listening(address="127.0.0.1")
    # the first address is some router's: nobody can listen on it here
    assert _listening("lan", "never", tmp_path) == offering.Listening(address="127.0.0.7")


def test_a_node_without_an_address_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "addresses", list)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: [])
    with pytest.raises(offering.CannotOffer) as caught:
        _listening("lan", "never", tmp_path)
    assert str(caught.value) == f"{socket.gethostname()} has no address that login1 could reach"


def test_a_certificate_that_is_missing_or_damaged_says_what_to_do(tmp_path: Path) -> None:
    hint = "Set jupyter_server_tls to auto or always and run the playbook hpc.jupyter.setup"
    with pytest.raises(offering.CannotOffer) as caught:
        _listening("socket", "always", tmp_path)
    assert str(caught.value) == (
        f"no certificate to speak https with: {tmp_path}/cert.pem: No such file or directory. {hint}"
    )
    (tmp_path / "cert.pem").write_text("torn")
    (tmp_path / "key.pem").write_text("torn")
    with pytest.raises(offering.CannotOffer, match=r"^no certificate to speak https with: "):
        _listening("socket", "always", tmp_path)
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_a_copy_is_served_that_no_renewal_changes(tmp_path: Path) -> None:
    pair = certificate.Pair(str(tmp_path))
    certificate.make(pair, days=30)
    first = _listening("socket", "always", tmp_path)
    copy = certificate.copied(str(tmp_path / "copies"), first.tls_sha256)
    text = certificate.text(copy)
    assert (text, os.stat(copy.key).st_mode & 0o777) == (certificate.text(pair), 0o600)
    certificate.make(pair, days=30)
    second = _listening("socket", "always", tmp_path)
    assert (second.tls_sha256 != first.tls_sha256, first.serves(second)) == (True, True)
    assert not first.serves(_listening("socket", "auto", tmp_path))
    assert certificate.text(copy) == text


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_whoever_comes_while_the_files_are_replaced_waits_for_the_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, former = certificate.Pair(str(tmp_path / "now")), certificate.Pair(str(tmp_path / "former"))
    for each in (pair, former):
        os.mkdir(each.directory)
        certificate.make(each, days=30)
    os.rename(pair.certificate, tmp_path / "next.pem")
    shutil.copy(former.certificate, pair.certificate)
    monkeypatch.setattr(time, "sleep", lambda _seconds: os.replace(tmp_path / "next.pem", pair.certificate))
    assert certificate.copy(pair, str(tmp_path / "copies")) == certificate.fingerprint(pair)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
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
    return offering.listening(offer, socket_path="/tmp/s", tls=tls, pair=pair, login=["login1"])


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

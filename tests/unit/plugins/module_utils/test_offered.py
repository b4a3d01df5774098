# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Callable
from unittest import mock

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import jupyter, node, offered, probe
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.offering import CannotOffer, Listening
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record

_SOCKET = Listening(socket="/tmp/hpcj-x/s", tls_sha256="ab" * 32)
_PORT = Listening(address="10.0.0.7")
_PLACE = ("offer", "socket", "tls_sha256", "host_keys", "addresses", "address", "port", "login_socket")


class _Claim:
    """The record as it was at first and after each change of it."""

    def __init__(self) -> None:
        self.written = [Record("default", "lab", "alice@lab", "slurm", state=rec.STARTING, offer="socket")]
        self.problem: Exception | None = None

    def update(self, change: Callable[[Record], Record]) -> None:
        """Change it, unless there is a problem."""
        if self.problem is not None:
            raise self.problem
        self.written.append(change(self.written[-1]))

    @property
    def states(self) -> list[tuple[str, str, str]]:
        """What each record says first of all."""
        return [(record.state, record.offer, record.socket) for record in self.written[1:]]


class _Server:
    """A server that comes up at once."""

    def __init__(self, _place: object, listening: Listening, **_named: Any) -> None:
        self.listening = listening

    def in_use(self) -> bool:
        return False

    def shut_down(self) -> None:
        pass

    def prove(self) -> probe.Target:
        listening = self.listening
        return probe.Target("/0/", socket=listening.socket, port=0 if listening.socket else 4711,
                            address=listening.address, tls_sha256=listening.tls_sha256)


@pytest.fixture(name="claim")
def _claim(monkeypatch: pytest.MonkeyPatch) -> _Claim:
    monkeypatch.setattr(offered, "Server", _Server)
    monkeypatch.setattr(offered, "version", lambda _target: "2.17.0")
    monkeypatch.setattr(jupyter, "page", lambda _interface: "")
    monkeypatch.setattr(node, "host_keys", lambda: ["ssh-ed25519 AAAA"])
    monkeypatch.setattr(node, "addresses", lambda: ["10.0.0.7"])
    return _Claim()


def _session(
    claim: Any, listening: dict[str, Listening], *, prepare: Callable[[], str] = lambda: ""
) -> offered.Offered:
    """A session that listens, for each way of offering it, as told."""
    made = offered.Offered(claim, mock.Mock(), mock.Mock(), mock.Mock(), landing=None, prepare_step=prepare)
    made._needed = lambda offer, *_given, **_named: listening[offer]  # type: ignore[method-assign]
    return made


def test_the_record_says_where_the_server_is_going_to_be_while_it_still_starts(claim: _Claim) -> None:
    _session(claim, {"socket": _SOCKET}).begin("socket")
    _first, ahead, ready = claim.written
    assert (ahead.state, ready.state) == (rec.STARTING, rec.READY)
    assert (ahead.offer, ahead.socket, ahead.tls_sha256) == ("socket", _SOCKET.socket, _SOCKET.tls_sha256)
    assert (ahead.host_keys, ahead.addresses) == (["ssh-ed25519 AAAA"], ["10.0.0.7"])
    assert [getattr(ahead, name) for name in _PLACE] == [getattr(ready, name) for name in _PLACE]


@pytest.mark.parametrize("offer", ["lan", "loopback"])
def test_of_a_port_nothing_is_told_before_it_is_known(claim: _Claim, offer: str) -> None:
    _session(claim, {offer: _PORT}).begin(offer)
    assert claim.states == [(rec.READY, offer, "")]
    assert (claim.written[-1].port, claim.written[-1].host_keys) == (4711, ["ssh-ed25519 AAAA"])


@pytest.mark.parametrize("problem", [HpcJupyterError("busy"), OSError(28, "No space left on device")])
def test_what_cannot_be_told_ahead_is_told_when_it_is_ready(claim: _Claim, problem: Exception) -> None:
    def prepare() -> str:
        claim.problem = None
        return ""

    claim.problem = problem
    _session(claim, {"socket": _SOCKET}, prepare=prepare).begin("socket")
    assert claim.states == [(rec.READY, "socket", _SOCKET.socket)]


def test_a_record_never_names_a_place_that_is_given_up(claim: _Claim) -> None:
    session = _session(claim, {"socket": _SOCKET, "lan": _PORT})
    session.begin("socket")
    session.change("lan")
    session.change("socket")
    session.restart()
    here, nowhere = ("socket", _SOCKET.socket), ("socket", "")
    assert claim.states == [
        (rec.STARTING, *here), (rec.READY, *here),
        (rec.STARTING, *nowhere), (rec.READY, "lan", ""),
        (rec.STARTING, "lan", ""), (rec.STARTING, *here), (rec.READY, *here),
        (rec.STARTING, *nowhere), (rec.STARTING, *here), (rec.READY, *here),
    ]
    assert [record.port for record in claim.written] == [0] * 4 + [4711] + [0] * 6


def test_a_server_that_comes_back_is_told_where_it_was(claim: _Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    session = _session(claim, {"socket": _SOCKET, "lan": _PORT})
    session.begin("socket")
    prove = _Server.prove

    def only_by_socket(server: _Server) -> probe.Target:
        if not server.listening.socket:
            raise CannotOffer("no such port")
        return prove(server)

    monkeypatch.setattr(_Server, "prove", only_by_socket)
    with pytest.raises(CannotOffer, match="no such port"):
        session.change("lan")
    here = ("socket", _SOCKET.socket)
    assert claim.states[2:] == [(rec.STARTING, "socket", ""), (rec.STARTING, *here), (rec.READY, *here)]


def test_the_sshd_for_steps_is_prepared_once_while_jupyter_starts(
    claim: _Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Server(_Server):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            done.append("started")

        def prove(self) -> probe.Target:
            done.append("proven")
            return super().prove()

    def prepare() -> str:
        done.append(f"prepared {claim.written[-1].socket}")
        return ""

    monkeypatch.setattr(offered, "Server", Server)
    session = _session(claim, {"socket": _SOCKET}, prepare=prepare)
    session.begin("socket")
    session.restart()
    assert done == ["started", f"prepared {_SOCKET.socket}", "proven", "started", "proven"]

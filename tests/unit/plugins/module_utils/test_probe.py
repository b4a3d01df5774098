# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import http.server
import json
import os
import socket
import socketserver
import threading
from pathlib import Path
from typing import Iterator

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import probe


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    def do_GET(self) -> None:
        body = f"{self.path} {self.headers.get('Authorization', 'nobody')}".encode()
        self.send_response(200 if "Authorization" in self.headers else 302)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "-"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture(name="unix")
def _unix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    with _UnixServer("s", _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield "s"
        server.shutdown()


@pytest.fixture(name="port")
def _port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_socket_is_asked_with_and_without_the_token(unix: str) -> None:
    target = probe.Target("/base/", socket=unix)
    assert probe.get(target, "api", token="t0k") == probe.Answer(200, b"/base/api token t0k")
    assert probe.get(target, "api") == probe.Answer(302, b"/base/api nobody")


def test_a_port_is_asked_the_same_way(port: int) -> None:
    assert probe.get(probe.Target("/base/", port=port), "api", token="t") == probe.Answer(200, b"/base/api token t")


def test_nobody_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        probe.get(probe.Target("/", socket=str(tmp_path / "gone")), "api")


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="needs /proc")
def test_a_listener_is_known_by_its_process(port: int) -> None:
    assert probe.listens(os.getpid(), port) is True
    assert probe.listens(os.getppid(), port) is False
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert probe.listens(os.getpid(), unused.getsockname()[1]) is False


@pytest.mark.parametrize(("content", "port"), [(None, 0), ("", 0), ("{}", 0), ('{"port": 4711}', 4711)])
def test_the_port_is_read_from_the_server_s_own_file(tmp_path: Path, content: str | None, port: int) -> None:
    if content is not None:
        (tmp_path / "jpserver-1.json").write_text(content)
    (tmp_path / "other.json").write_text(json.dumps({"port": 1}))
    assert probe.port_from_info(str(tmp_path)) == port

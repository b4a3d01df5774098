# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Iterator

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import package_index
from ansible_collections.hpc.jupyter.plugins.module_utils.package_index import DEFAULT, Indexes


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.split("/")[1]))
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def index() -> Iterator[str]:
    """An index that answers what the first part of the path says."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("path", ["200/simple/", "404/simple", "401/simple", "403/simple"])
@pytest.mark.parametrize("who", ["", "me:secret@"])
def test_an_index_that_answers_is_there(index: str, path: str, who: str) -> None:
    assert package_index.unreachable(Indexes((f"http://{who}{index}/{path}",))) == ""


@pytest.mark.parametrize("code", [407, 502, 503])
def test_a_proxy_that_leads_nowhere(index: str, code: int) -> None:
    told = package_index.unreachable(Indexes((f"http://{index}/{code}/simple",)))
    assert told == f"the proxy before 127.0.0.1 answers {code}"


def test_nobody_there() -> None:
    told = package_index.unreachable(Indexes((f"http://me:secret@127.0.0.1:{closed_port()}/simple",)))
    assert told == "127.0.0.1 cannot be reached ([Errno 111] Connection refused)"


def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        assert package_index.unreachable(Indexes((url,)), seconds=0.2) in (
            "127.0.0.1 did not answer within 0.2 seconds", "127.0.0.1 cannot be reached (timed out)",
        )


def test_one_of_several_will_do(index: str) -> None:
    urls = (f"http://127.0.0.1:{closed_port()}/simple", f"http://{index}/200/simple")
    assert package_index.unreachable(Indexes(urls)) == ""


@pytest.mark.parametrize("indexes", [Indexes(("http://127.0.0.1:1/",), elsewhere=True), Indexes(("file:///wheels",))])
def test_directories_are_no_question_of_a_network(indexes: Indexes) -> None:
    assert package_index.unreachable(indexes) == ""


def test_what_the_account_was_told(tmp_path: Path) -> None:
    pip, uv = tmp_path / "pip.conf", tmp_path / "uv.toml"
    pip.write_text("[global]\nindex-url = https://mirror/simple\nproxy = http://proxy:3128\n")
    uv.write_text('[[index]]\nurl = "https://other/simple"\ndefault = true\n')
    told = package_index.configured({"PIP_INDEX_URL": "https://env/simple"}, pip=[str(pip)], uv=[str(uv)])
    assert told == Indexes(("https://env/simple", "https://mirror/simple", "https://other/simple"), "http://proxy:3128")


@pytest.mark.parametrize("text", ["", "no section\n", "[global]\ntimeout = 60\n"])
def test_what_says_nothing_means_the_public_index(tmp_path: Path, text: str) -> None:
    (tmp_path / "pip.conf").write_text(text)
    assert package_index.configured({}, pip=[str(tmp_path / "pip.conf")], uv=[]) == Indexes((DEFAULT,))


def test_wheels_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[install]\nfind-links = /apps/wheels\n")
    assert package_index.configured({}, pip=[str(tmp_path / "pip.conf")], uv=[]).elsewhere
    assert package_index.configured({"PIP_FIND_LINKS": "/apps/wheels"}, pip=[], uv=[]).elsewhere

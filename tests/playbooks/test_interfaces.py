"""What a session shows, JupyterLab or another interface, and how far it stands back for others; with the real ones."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children, probe, record

from tests.jupyter_env import INTERFACES, jupyter_python
from tests.session_site import Site, wait_for


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, jupyter_python(more=(INTERFACES,)))
    yield made
    made.close()


def _start_kernel(site: Site) -> None:
    target, token = site.target(), site.token()
    connection = http.client.HTTPConnection("localhost", timeout=20)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection.sock:
        connection.sock.connect(target.socket)
        connection.request("POST", f"{target.base_url}api/kernels", "{}", {"Authorization": f"token {token}"})
        assert connection.getresponse().status == 201


@pytest.mark.parametrize(
    ("interface", "page", "program", "words"),
    [
        ("lab", "lab", "jupyterlab", b"<title>JupyterLab</title>"),
        ("notebook", "tree", "notebook", b"jupyter-config-data"),
        # Notebook 7 is in the same environment and keeps /tree for itself.
        ("nbclassic", "nbclassic/tree", "nbclassic", b"notebook_list"),
    ],
)
def test_a_session_shows_the_interface_that_was_asked_for(
    site: Site, interface: str, page: str, program: str, words: bytes
) -> None:
    site.intend(interface=interface)
    site.job()
    now = site.ready()
    answer = probe.get(site.target(), page, token=site.token())
    assert (answer.status, words in answer.body) == (200, True), answer
    assert f'<script src="{now.base_url}hpc-jupyter/notice.js"></script>'.encode() in answer.body
    url = site.command("url", "--port", "8888").stdout.strip()
    assert url == f"http://127.0.0.1:8888{now.base_url}{page}?token={site.token()}"
    assert f" {program} --no-browser " in " ".join(process.command for process in _processes(site))


def _processes(site: Site) -> list[children.Process]:
    table = children.processes()
    pid = site.record().pid
    return [table[each] for each in (pid, *children.descendants(pid, table))]


def test_a_nice_session_is_nice_with_its_kernels(site: Site) -> None:
    site.intend(nice=7)
    site.job()
    site.ready()
    _start_kernel(site)
    wait_for(lambda: [process for process in _processes(site) if "ipykernel" in process.command])
    levels = {process.pid: os.getpriority(os.PRIO_PROCESS, process.pid) for process in _processes(site)}
    assert len(levels) >= 3
    assert set(levels.values()) == {7}, levels


def test_an_interface_that_is_not_installed_is_named(tmp_path: Path) -> None:
    python = jupyter_python()
    bare = Site(tmp_path, python)
    bare.intend(interface="notebook")
    assert bare.ended(bare.job()) == 1
    assert (bare.record().state, bare.record().reason) == (
        record.ENDED,
        f"{python} has no notebook, which the interface notebook needs: set jupyter_environment_packages: [notebook] "
        "and run the playbook hpc.jupyter.setup, or install it there",
    )


def test_the_command_refuses_what_is_no_interface_and_no_niceness(site: Site) -> None:
    assert "invalid choice: 'labb'" in site.command("start", "--interface", "labb").stderr
    refused = site.command("start", "--nice", "20")
    assert (refused.returncode, refused.stderr) == (
        2, "hpc-session: nice: '20' is not allowed. Write a number from 0 (not at all) to 19 (as far as possible)\n"
    )  # fmt: skip
    assert json.loads(site.command("status", "--json").stdout) == []

"""Kernels of other environments, registered by the role `jupyter_environment` with the module `kernels`; real ones."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.jupyter_env import INTERFACES, jupyter_python
from tests.playbooks.plays import Home
from tests.session_site import Site, processes_of, wait_for

_ASK = """
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute_interactive("import shutil, sys; print(sys.prefix, shutil.which('python'))", timeout=30)
client.stop_channels()
"""


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.path.mkdir()
    return made


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, jupyter_python())
    yield made
    made.close()


def _variables(*kernels: dict[str, str]) -> dict[str, object]:
    own = {"kind": "existing", "path": str(jupyter_python().parent.parent), "kernels": list(kernels)}
    return {f"jupyter_environment_{name}": value for name, value in own.items()}


def test_the_role_registers_and_removes_kernels(home: Home) -> None:
    other = jupyter_python(more=(INTERFACES,))
    theirs = home.path / ".local/share/jupyter/kernels/mine/kernel.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("{}")
    wanted = _variables({"name": "thesis", "path": str(other.parent.parent), "display_name": "Thesis"})
    checked = home.role("jupyter_environment", "--check", "--diff", **wanted)
    assert (checked.code, (home.root / "kernels").exists()) == (0, False), checked.out
    applied, again = (home.role("jupyter_environment", **wanted) for _ in range(2))
    assert (applied.code, again.code, again.changed) == (0, 0, 0), applied.out + again.out
    spec = json.loads((home.root / "kernels/thesis/kernel.json").read_text())
    assert (spec["display_name"], spec["argv"][0]) == ("Thesis", str(other))
    removed = home.role("jupyter_environment", **_variables())
    assert (removed.code, removed.changed) == (0, 1), removed.out
    assert (os.listdir(home.root / "kernels"), theirs.read_text()) == ([], "{}")


def test_an_environment_without_ipykernel_is_refused_before_anything_changes(home: Home) -> None:
    before = home.listing()
    run = home.role("jupyter_environment", **_variables({"name": "bare", "python": "/usr/bin/python3"}))
    assert run.code != 0
    assert "Install ipykernel there: /usr/bin/python3 -m pip install ipykernel" in run.out
    assert home.listing() == before


def test_a_notebook_runs_in_the_other_environment(site: Site) -> None:
    other = jupyter_python(more=(INTERFACES,))
    place = Path(site.layout.kernels) / "thesis"
    place.mkdir(parents=True)
    kernel = {"name": "thesis", "path": str(other.parent.parent)}
    (place / "kernel.json").write_text(_spec(kernel))
    site.intend()
    site.job()
    site.ready()
    _start(site, "thesis")
    wait_for(lambda: _connection_files(other))
    [connection] = _connection_files(other)
    said = subprocess.run([str(jupyter_python()), "-c", _ASK, connection], check=True, capture_output=True, text=True,
                          timeout=120).stdout  # fmt: skip
    assert said.split() == [str(other.parent.parent), str(other)]


def _spec(kernel: dict[str, str]) -> str:
    from ansible_collections.hpc.jupyter.plugins.module_utils import kernels

    return kernels.build([kernel])[0].to_json()


def _start(site: Site, name: str) -> None:
    target, token = site.target(), site.token()
    connection = http.client.HTTPConnection("localhost", timeout=30)
    with closing(socket.socket(socket.AF_UNIX)) as connection.sock:
        connection.sock.connect(target.socket)
        body = json.dumps({"name": name})
        connection.request("POST", f"{target.base_url}api/kernels", body, {"Authorization": f"token {token}"})
        assert connection.getresponse().status == 201


def _connection_files(python: Path) -> list[str]:
    """The connection files of the kernels that run in an environment, once they are there."""
    files = [process.command.split(" -f ")[1] for process in processes_of(f"{python} -m ipykernel_launcher -f ")]
    return [name for name in files if os.path.exists(name)]

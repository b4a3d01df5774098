"""Guide 001: a gateway, then a named login host without a queue; modules, screen, https."""

from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import site

NODE = "hydra08i.example.org"


@pytest.fixture(scope="module")
def hydra() -> Iterator[site.Site]:
    with site.up(sites.HYDRA) as running:
        yield running


def test_in_a_window_that_can_be_looked_at(hydra: site.Site) -> None:
    session = hydra.launch("--port", "8899")
    session.check(route="node", nodes=[NODE], why=site.FIRST)
    assert session.told["url"].startswith("https://127.0.0.1:8899/")
    assert session.cell("import os; print(os.getcwd())") == "/home/alice\n"
    assert "hpc-jupyter-default" in _shown(hydra, "screen", "-ls")
    hydra.stop()
    hydra.person.write_example(hpc_detach="tmux", hpc_route="node")
    hydra.launch().check(route="node", nodes=[NODE])
    assert "hpc-jupyter-default" in _shown(hydra, "tmux", "ls")
    hydra.stop()


def _shown(hydra: site.Site, *argv: str) -> str:
    return hydra.person.login.run(argv, user="alice", check=False).stdout

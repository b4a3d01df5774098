"""Servers that let few in."""

from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh

from tests.cli.ssh_servers import Way


@pytest.mark.rows("F50")
def test_one_login_is_enough_where_one_at_a_time_is_let_in(way: Way) -> None:
    way.login.stop()
    way.login.options = ["MaxStartups 1", "MaxSessions 1", "LogLevel VERBOSE"]
    way.login.start()
    assert way.open()
    assert [ssh.run_remote(way.cluster, way.files, ["echo", word]).stdout for word in "ab"] == ["a\n", "b\n"]
    assert (way.login.directory / "log").read_text().count("Accepted publickey") == 1

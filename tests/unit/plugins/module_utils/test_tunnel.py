# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import tunnel


def test_ssh_reads_no_configuration_and_checks_the_host_s_key() -> None:
    argv = tunnel.argv(
        "/usr/bin/ssh", key="/a/key", known_hosts="/n/known", host="login1", port=2222, listen="/l/x.s", to="/n/s"
    )
    assert argv[:10] == ["/usr/bin/ssh", "-v", "-a", "-x", "-T", "-N", "-F", "none", "-i", "/a/key"]
    assert argv[-4:] == ["-R", "/l/x.s:/n/s", "--", "login1"]
    for option in ("StrictHostKeyChecking=yes", "UserKnownHostsFile=/n/known", "GlobalKnownHostsFile=/dev/null",
                   "IdentitiesOnly=yes", "BatchMode=yes", "ExitOnForwardFailure=yes", "Port=2222"):
        assert argv[argv.index(option) - 1] == "-o"


@pytest.mark.parametrize(("said", "refused", "words"), [
    (["Error: remote port forwarding failed for listen path /l/x.s"], True,
     "sshd of login1 refuses the way back (AllowStreamLocalForwarding, AllowTcpForwarding)"),
    (["debug1: x", "me@login1: Permission denied (publickey)."], False,
     "sshd of login1 does not let the account's key for the way back in: run the playbook hpc.jupyter.setup"),
    (["Host key verification failed."], False,
     "login1 has another host key than the login host that the session was asked from"),
    (["OpenSSH_9.2p1", "debug1: Connecting", "ssh: Could not resolve hostname login1"], False,
     "login1 cannot be reached by ssh from the node: ssh: Could not resolve hostname login1"),
    (["debug1: Connecting to login1", ""], False, "login1 cannot be reached by ssh from the node: no answer"),
])
def test_what_ssh_says_becomes_a_reason(said: list[str], refused: bool, words: str) -> None:
    assert tunnel.reason(said, where="login1", refused=refused) == words

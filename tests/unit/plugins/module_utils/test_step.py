# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import step
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles


@pytest.mark.parametrize("key", [
    "", "AAAA", "ssh-ed25519 AAAAx me", "ssh-ed25519 AAAAx\nssh-ed25519 AAAAy", 'command="id" ssh-ed25519 AAAAx',
    "ssh-dss AAAAx", "ssh-ed25519  AAAAx", "ssh-ed25519 AAAA x",
])
def test_what_is_not_one_public_key_is_refused(key: str) -> None:
    with pytest.raises(BadInput) as caught:
        step.check_key(key)
    assert str(caught.value) == f"key: {key!r} is not a public key. Write its type and its base64 part alone"


@pytest.mark.parametrize("key", ["ssh-ed25519 AAAAx", "ecdsa-sha2-nistp256 AAAAx=", "sk-ssh-ed25519@openssh.com AAAAx"])
def test_a_public_key_is_taken(key: str) -> None:
    assert step.check_key(key) == key


@pytest.mark.parametrize("value", ["", "0", "65536", "x", "-1", "80 81", "\u0661"])
def test_what_is_no_port_is_refused(value: str) -> None:
    with pytest.raises(BadInput) as caught:
        step.port(value)
    assert str(caught.value) == f"permit: {value!r} is not a port. Use 1 to 65535"


@pytest.mark.parametrize(("permit", "opened"), [
    ((), "PermitOpen [/tmp/x/s]:*\n"), ((8787, 6006), "PermitOpen [/tmp/x/s]:* 127.0.0.1:8787 127.0.0.1:6006\n"),
])
def test_the_configuration_opens_the_socket_and_what_is_permitted(permit: tuple[int, ...], opened: str) -> None:
    text = step.config(host_key="/h", keys="/k", socket="/tmp/x/s", permit=permit)
    assert opened in text
    assert 'HostKey "/h"\n' in text
    assert "ForceCommand /bin/false\n" in text


@pytest.mark.parametrize(("host_key", "socket"), [
    ("/h", "/tmp/a b/s"), ("/h", "/tmp/s]:* 10.0.0.1:*"), ("/h", "/tmp/s\nPermitTTY yes"), ('/a"b', "/tmp/s"),
    ("/a%h", "/tmp/s"), ("/a\nb", "/tmp/s"),
])
def test_a_path_that_would_say_something_else_is_refused(host_key: str, socket: str) -> None:
    with pytest.raises(step.NoStep, match=r"^sshd cannot be told of a path such as "):
        step.config(host_key=host_key, keys="/k", socket=socket, permit=())


def test_whoever_asks_for_the_same_finds_the_same_file(tmp_path: Path) -> None:
    files = SessionFiles(str(tmp_path))
    os.mkdir(files.step)
    first, again, other = (
        step.write_config(files, key="ssh-ed25519 AAAAx", socket="/tmp/s", permit=permit) for permit in ((), (), (80,))
    )
    assert first == again != other


def test_a_session_that_prepared_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(step.NoStep) as caught:
        step.server(SessionFiles(str(tmp_path)), key="ssh-ed25519 AAAAx", socket="/tmp/s", permit=())
    assert str(caught.value) == "the session has prepared no sshd: stop it and launch it again"

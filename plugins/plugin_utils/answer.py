# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A password that Ansible was given, handed to ssh: over a pipe, never on a command line, in a file or a variable."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator

from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files


@contextlib.contextmanager
def answering(cluster: Cluster, files: Files, *, password: str) -> Iterator[str]:
    """The path of an askpass program that tells ``password`` to the cluster's own hops, and to no other host.

    Only questions for a password are answered, not those for a code or for a key's passphrase.
    """
    place = tempfile.mkdtemp(dir=files.directory, prefix=".answer-")
    pipe, program = os.path.join(place, "pipe"), os.path.join(place, "askpass")
    os.mkfifo(pipe, 0o600)
    _write_program(program, _script(cluster, pipe))
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(pipe, password, over), daemon=True)
    thread.start()
    try:
        yield program
    finally:
        over.set()
        _wake(pipe)
        thread.join(5)
        shutil.rmtree(place)


def _script(cluster: Cluster, pipe: str) -> str:
    """Names of users and hosts were checked: none has a character that the shell would take for its own."""
    names = [f"{hop.user}@{hop.host}" for hop in hops(cluster)]
    asked = "|".join(f'"{name}"\\\'"s "*assword*|"({name}) "*assword*' for name in names)
    return (
        f"#!/bin/sh\ncase $1 in {asked}) ;; *) exit 1;; esac\n"
        f"IFS= read -r answer <'{pipe}' && printf '%s\\n' \"$answer\"\n"
    )


def _write_program(path: str, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o700), "w", encoding="utf-8") as stream:
        stream.write(text)


def _tell(pipe: str, password: str, over: threading.Event) -> None:
    """Once for each reader; opening waits for one."""
    while True:
        with contextlib.suppress(BrokenPipeError), open(pipe, "wb", buffering=0) as stream:
            if over.is_set():
                return
            stream.write(password.encode() + b"\n")


def _wake(pipe: str) -> None:
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))

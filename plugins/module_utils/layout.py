# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lies on an account: one directory, named here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass

VERSION = "0.1.0"
"""The collection's version, carried by record, supervisor and CLI."""


def default_root(cluster: str) -> str:
    """The account's directory for one cluster, relative to the home directory, with ``~``."""
    return f"~/.local/share/hpc-jupyter/{cluster}"


@dataclass(frozen=True)
class SessionFiles:
    """The files of one session; the directory is 0700, every file 0600."""

    path: str

    @property
    def record(self) -> str:
        """The session's record (see ``record.py``)."""
        return os.path.join(self.path, "record.json")

    @property
    def request(self) -> str:
        """What was asked for (see ``request.py``); the supervisor's parameters."""
        return os.path.join(self.path, "request.json")

    @property
    def wish(self) -> str:
        """What the running supervisor is asked for (see ``wishes.py``)."""
        return os.path.join(self.path, "wish.json")

    @property
    def asking(self) -> str:
        """Held by whoever waits for the answer to a wish."""
        return f"{self.wish}.asking"

    @property
    def writing(self) -> str:
        """Held while the record is replaced."""
        return f"{self.record}.writing"

    @property
    def step(self) -> str:
        """The directory of the sshd that a step runs (see ``step.py``)."""
        return os.path.join(self.path, "step")

    @property
    def token(self) -> str:
        """The session's token, without a trailing newline."""
        return os.path.join(self.path, "token")

    @property
    def cookie_secret(self) -> str:
        """The key that signs Jupyter's login cookies."""
        return os.path.join(self.path, "cookie_secret")

    @property
    def log(self) -> str:
        """What the job, the supervisor and Jupyter print."""
        return os.path.join(self.path, "job.log")

    @property
    def lock(self) -> str:
        """Held while a session is found or submitted or stopped."""
        return os.path.join(self.path, "lock")


@dataclass(frozen=True)
class Layout:
    """The account's directory, ``root``: absolute, 0700, owned by the account."""

    root: str

    @classmethod
    def at(cls, root: str) -> Layout:
        """The layout below ``root``, with ``~`` expanded."""
        return cls(os.path.abspath(os.path.expanduser(root)))

    @property
    def account(self) -> str:
        """``account.json``: which account, cluster and scheduler this directory belongs to."""
        return os.path.join(self.root, "account.json")

    @property
    def environment_script(self) -> str:
        """Sourced by the job; puts ``jupyter`` on PATH and sets ``HPC_JUPYTER_PYTHON``."""
        return os.path.join(self.root, "environment.sh")

    @property
    def environment_python(self) -> str:
        """The script that stands for the Python of an environment behind a command."""
        return os.path.join(self.root, "environment-python")

    @property
    def command(self) -> str:
        """The zipapp ``hpc-session``: the account's own command and the supervisor."""
        return os.path.join(self.root, "hpc-session")

    @property
    def job_script(self) -> str:
        """The static job script."""
        return os.path.join(self.root, "job.sh")

    @property
    def server(self) -> str:
        """``JUPYTER_CONFIG_DIR`` of every session: config, certificate and key."""
        return os.path.join(self.root, "server")

    @property
    def server_config(self) -> str:
        """Jupyter's configuration, with the hash of the password."""
        return os.path.join(self.server, "jupyter_server_config.json")

    @property
    def reverse_key(self) -> str:
        """The key with which a node makes the way back to the login host, and can do nothing else."""
        return os.path.join(self.root, "reverse_key")

    @property
    def kernels(self) -> str:
        """Kernels of other environments; Jupyter looks for a directory of this name in ``root``."""
        return os.path.join(self.root, "kernels")

    @property
    def sessions(self) -> str:
        """The directory that holds one directory a session."""
        return os.path.join(self.root, "sessions")

    def session(self, name: str) -> SessionFiles:
        """The files of the session called ``name``."""
        return SessionFiles(os.path.join(self.sessions, name))

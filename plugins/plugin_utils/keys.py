# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The person's key: the one there is, of whatever kind, else a new one. Nothing is ever overwritten."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError

MARK = "hpc.jupyter"
"""How the comment of a key begins that was made here."""

_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
"""Those that ssh tries by itself."""

_SETTING = "identityfile "
_DATED = ("id_dsa", "id_xmss")
"""Those that ssh may still name by itself, and no server should take."""

_PUBLIC = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/]{32,8192}={0,2})(?: (.*))?")


@dataclass(frozen=True)
class Key:
    """A key pair: ``path`` of its private part, empty if only the agent has it; ``public`` is ``TYPE BASE64``.

    ``made`` says that it would be, or was, made here; ``public`` is then empty before it is.
    """

    path: str
    public: str = ""
    made: bool = False

    @property
    def identity_file(self) -> str:
        """What ``IdentityFile`` names: a public file stands for a private part that is in the agent."""
        if not self.path:
            return ""
        return self.path if os.path.exists(self.path) else f"{self.path}.pub"


def public_part(text: object) -> str:
    """``TYPE BASE64`` of a public key as it stands in a ``.pub`` file; raises ``BadInput``, which does not show it."""
    found = _PUBLIC.fullmatch(text.strip()) if isinstance(text, str) else None
    with contextlib.suppress(ValueError):
        if found and base64.b64decode(found[2], validate=True)[4:].startswith(found[1].encode()):
            return f"{found[1]} {found[2]}"
    raise BadInput("keys", "holds something that is not a public key", hint="Take the whole line of ~/.ssh/id_….pub")


def find(path: str, *, ssh_directory: str, configured: Sequence[str] = ()) -> Key:
    """The key at ``path``; without one the person's first: ``configured``, in ``ssh_directory``, in the agent.

    If there is none, it is one to make.
    """
    if path:
        return _named(_checked(path))
    for candidate in (*configured, *(os.path.join(ssh_directory, name) for name in _NAMES)):
        if os.path.exists(candidate):
            return _named(candidate)
    held = _agent()
    return Key("", held[0]) if held else Key(os.path.join(ssh_directory, "id_ed25519"), made=True)


def configured(host: str, *, user: str, config: str) -> list[str]:
    """The keys that the person's own ssh configuration names for ``host``."""
    if not os.path.exists(config):
        return []
    argv = ["ssh", "-G", "-F", config, "-l", user, "--", host]
    told = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False)
    named = [line[len(_SETTING):] for line in told.stdout.splitlines() if line.startswith(_SETTING)]
    paths = [os.path.expanduser(value) for value in named]
    return [path for path in paths if os.path.isabs(path) and os.path.basename(path) not in _NAMES + _DATED]


def candidates(host: str, *, user: str, config: str, identity: str) -> list[str]:
    """What ``settled`` says, then what ``configured`` says: a key that was replaced may still be named there."""
    return [*settled(identity), *configured(host, user=user, config=config)]


def make(key: Key) -> Key:
    """Make the key that ``find`` has missed; if another process has just done so, that one is used."""
    directory = os.path.dirname(key.path)
    fresh = not os.path.isdir(directory)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    place = tempfile.mkdtemp(prefix=".new-key-", dir=directory)
    try:
        new = os.path.join(place, "key")
        comment = MARK + (",directory" if fresh else "")
        _keygen(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", new])
        with contextlib.suppress(FileExistsError):
            os.link(new, key.path)
            os.link(f"{new}.pub", f"{key.path}.pub")
    finally:
        shutil.rmtree(place)
    return Key(key.path, _named(key.path).public, made=True)


def remove_made(path: str) -> bool:
    """Remove the key pair at ``path`` if its comment says that it was made here; whether it was."""
    found = _PUBLIC.fullmatch(_text(f"{path}.pub").strip())
    comment = (found[3] or "") if found else ""
    if comment.split(",")[0] != MARK:
        return False
    for name in (path, f"{path}.pub"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    if "directory" in comment.split(","):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(path))
    return True


def made_here(ssh_directory: str, path: str) -> str:
    """The path of the key that was made here; empty if there is none."""
    wanted = _checked(path) if path else os.path.join(ssh_directory, "id_ed25519")
    found = _PUBLIC.fullmatch(_text(f"{wanted}.pub").strip())
    return wanted if found and (found[3] or "").split(",")[0] == MARK else ""


def identities(key: Key, *, ssh_directory: str, also: str = "") -> str:
    """The lines that make ssh try ``key`` first, then that at ``also``, then what it tries by itself.

    Naming one key would hide the others.
    """
    defaults = [os.path.join(ssh_directory, name) for name in _NAMES]
    paths = [key.identity_file, Key(also).identity_file, *(path for path in defaults if os.path.exists(path))]
    return "".join(f'IdentityFile "{path}"\n' for path in dict.fromkeys(paths) if path)


def settled(identity: str) -> list[str]:
    """The key that ``identities`` has put first into the file ``identity``, if that is there."""
    found = re.match(r'IdentityFile "([^"\n]+)"', _text(identity))
    return [found[1].removesuffix(".pub")] if found and os.path.exists(found[1]) else []


def may_log_in_with(public: str, *, identity: str) -> bool:
    """Whether ``public`` is the key that ``settled`` names, or might be: it cannot always be told."""
    named = settled(identity)
    try:
        return not named or _named(named[0]).public in ("", public)
    except BadInput:
        return True


def _checked(path: str) -> str:
    expanded = os.path.expanduser(path)
    if not os.path.isabs(expanded) or re.search(r"[\"\x00-\x1f\x7f%$]", expanded):
        raise BadInput("jupyter_access_key", f"{path!r} is not an absolute path", hint="Begin it with / or ~/")
    if expanded.endswith(".pub"):
        raise BadInput("jupyter_access_key", f"{path} is a public key", hint="Name the private one, without .pub")
    return expanded


def _named(path: str) -> Key:
    public = _text(f"{path}.pub").strip()
    if public:
        found = _PUBLIC.fullmatch(public)
        if not found:
            raise BadInput("jupyter_access_key", f"{path}.pub is not a public key", hint="Name another key")
        return _usable(Key(path, f"{found[1]} {found[2]}"))
    return Key(path, _derived(path)) if os.path.exists(path) else Key(path, made=True)


def _usable(key: Key) -> Key:
    if os.path.exists(key.path) or key.public in _agent():
        return key
    raise BadInput(
        "jupyter_access_key", f"{key.path}.pub is there, but its private part is neither beside it nor in the agent",
        hint="Add it to the agent (ssh-add), or name another key",
    )


def _derived(path: str) -> str:
    told = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", path], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=20, check=False,
    )
    found = _PUBLIC.match(told.stdout.strip())
    if not found:
        raise BadInput(
            "jupyter_access_key", f"the public part of {path} is not beside it",
            hint=f"Make it: ssh-keygen -y -f {path} > {path}.pub",
        )
    return f"{found[1]} {found[2]}"


def _agent() -> list[str]:
    """The public keys that the agent holds; none without an agent."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return []
    try:
        told = subprocess.run(
            ["ssh-add", "-L"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    found = [_PUBLIC.fullmatch(line.strip()) for line in told.stdout.splitlines()]
    return [f"{match[1]} {match[2]}" for match in found if match and "-cert-" not in match[1]]


def _keygen(arguments: list[str]) -> None:
    done = subprocess.run(
        ["ssh-keygen", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise HpcJupyterError(f"ssh-keygen could not make a key: {done.stderr.strip() or done.stdout.strip()}")


def _text(path: str) -> str:
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
    return ""

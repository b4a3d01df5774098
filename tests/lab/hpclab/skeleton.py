"""What a new account holds in each home, and a way back to that state."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from .keys import Keys
from .topology import Home, Topology, User

NOTICE = "/etc/notice"  # there on the hosts whose profile prints something

_BASHRC = f"[ ! -r {NOTICE} ] || cat {NOTICE}\n"
_CSHRC = f"if (-r {NOTICE}) cat {NOTICE}\nset prompt = '%m%# '\n"
_PROFILE = '[ -z "$BASH_VERSION" ] || . "$HOME/.bashrc"\nPATH="$HOME/.local/bin:$PATH"\n'


def account_files(user: User, home: Home, keys: Keys) -> Mapping[str, tuple[str, int]]:
    """Path below the home -> text and mode."""
    files = {".bashrc": (_BASHRC, 0o644), ".cshrc": (_CSHRC, 0o644), ".profile": (_PROFILE, 0o644)}
    if home.authorized:
        files[".ssh/authorized_keys"] = (keys.authorized(user.name, home.authorized), 0o600)
    if home.key:
        pair = keys.accounts[user.name, home.name]
        files[".ssh/id_ed25519"] = (pair.private, 0o600)
        files[".ssh/id_ed25519.pub"] = (pair.public + "\n", 0o644)
    return files


def make_homes(topology: Topology, keys: Keys, root: Path) -> None:
    for home in topology.homes:
        for user in topology.users:
            restore_home(root / home.name / user.name, user, account_files(user, home, keys))


def restore_home(path: Path, user: User, files: Mapping[str, tuple[str, int]]) -> None:
    """Empties the home and fills it again; the directory itself stays, since shells may stand in it."""
    _directory(path, user)
    for entry in os.scandir(path):
        _remove(Path(entry.path))
    for name, (text, mode) in files.items():
        file = path / name
        if file.parent != path:
            _directory(file.parent, user)
        file.write_text(text, encoding="utf-8")
        os.chown(file, user.uid, user.uid)
        file.chmod(mode)


def remove_owned(root: Path, user: User) -> None:
    """Removes what the user owns below `root`, and what lies in directories that the user owns."""
    for entry in os.scandir(root):
        path = Path(entry.path)
        if entry.stat(follow_symlinks=False).st_uid == user.uid:
            _remove(path)
        elif entry.is_dir(follow_symlinks=False):
            remove_owned(path, user)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _directory(path: Path, user: User) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, user.uid, user.uid)
    path.chmod(0o700)

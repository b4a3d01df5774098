"""``kit``: a folder for a person without Python, or with Windows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

from hpc_jupyter import kit
from hpc_jupyter.context import Context
from hpc_jupyter.results import Kit


def run(context: Context, name: str, directory: str) -> Kit:
    """Write the folder, anew if it is an earlier kit of the same account; contacts nobody."""
    account = context.account(name)
    options = kit.start_options(account.facts)
    return write(account.cluster, Path(directory or f"hpc-jupyter-{name}"), options)


def write(cluster: Cluster, directory: Path, options: Sequence[str] = ()) -> Kit:
    """The same for a cluster whose facts are known; raises ``BadInput`` before anything is written."""
    texts = kit.render(cluster, options)
    place = Path(os.path.abspath(directory.expanduser()))
    _check(place, cluster)
    changed = _write(place, texts)
    return Kit(account=cluster.account, directory=str(place), files=tuple(sorted(texts)), changed=changed)


def _check(place: Path, cluster: Cluster) -> None:
    if not place.exists() and not place.is_symlink():
        return
    if not place.is_dir():
        raise BadInput("--directory", f"{place} is not a directory", hint="Name another one")
    if not any(place.iterdir()):
        return
    page = place / kit.PAGE
    made = page.read_text(encoding="utf-8", errors="replace") if page.is_file() else ""
    if f'<meta name="generator" content="{kit.MARK}' not in made:
        raise BadInput("--directory", f"{place} has files that are no kit", hint="Name another one")
    if f'content="{kit.MARK}{cluster.account}"' not in made:
        raise BadInput("--directory", f"{place} is a kit of another account", hint="Name another one")


def _write(place: Path, texts: Mapping[str, str]) -> bool:
    """Each file whole, and only if it changed."""
    place.mkdir(parents=True, exist_ok=True)
    stale = {name: text.encode() for name, text in texts.items() if _read(place / name) != text.encode()}
    for name, content in stale.items():
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=place)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(0o755 if name == kit.SCRIPT else 0o644)
        Path(temporary).replace(place / name)
    return bool(stale)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None

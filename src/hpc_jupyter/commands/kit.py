"""``kit``: a folder for a person without Python, or with Windows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.request import session_name
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from cryptography.hazmat.primitives.serialization import Encoding

from hpc_jupyter import certificate, kit
from hpc_jupyter.commands.ca import by_hand
from hpc_jupyter.context import Context
from hpc_jupyter.results import Kit


def run(context: Context, name: str, directory: str, session: str) -> Kit:
    """Write the folder, anew if it is an earlier kit of the same session; contacts nobody."""
    session_name(session)
    account = context.account(name)
    options = kit.start_options(account.facts)
    place = directory or f"hpc-jupyter-{name}" + ("" if session == kit.DEFAULT else f"-{session}")
    return write(account.cluster, Path(place), options, session=session, lab=_lab(context))


def write(
    cluster: Cluster, directory: Path, options: Sequence[str] = (), *, session: str = kit.DEFAULT,
    lab: kit.Lab | None = None,
) -> Kit:
    """The same for a cluster whose facts are known; raises ``BadInput`` before anything is written."""
    texts = kit.render(cluster, options, session=session, lab=lab)
    place = Path(os.path.abspath(directory.expanduser()))
    _check(place, kit.mark(cluster.account, session))
    changed = _write(place, texts)
    return Kit(account=cluster.account, directory=str(place), files=tuple(sorted(texts)), changed=changed)


def _lab(context: Context) -> kit.Lab | None:
    """The lab's authority, where there is one that browsers would take."""
    found = certificate.authority(context)
    if found is None or found.days_left < 0:
        return None
    pem = found.certificate.public_bytes(Encoding.PEM).decode()
    return kit.Lab(found.name, certificate.colons(found.sha256), pem, by_hand(found, pem=kit.CERTIFICATE)[1:])


def _check(place: Path, mark: str) -> None:
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
    if f'content="{mark}"' not in made:
        raise BadInput("--directory", f"{place} is a kit of another account or session", hint="Name another one")


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

"""What a person is told of a session's certificate: nothing where the browser knows it, else what to compare."""

from __future__ import annotations

import hashlib
import os
import shlex
import ssl

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authority import Authority, Place, beside, read
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import LOOPBACK

from hpc_jupyter import stores
from hpc_jupyter.account import collection_path, default_sources, own_inventory
from hpc_jupyter.context import Context
from hpc_jupyter.route import Route

_SECONDS = 5.0


def lines(context: Context, route: Route) -> list[str]:
    """For a session that speaks https; the server has shown by then that it has the record's certificate."""
    if not route.sha256:
        return []
    lab = authority(context)
    if lab is not None and lab.vouches(_shown(route)):
        return [] if stores.trusting(os.environ, lab)[0] else [
            "The lab's authority has signed its certificate. If the browser warns, have it trust that once: "
            + command_line(context, "", "install")
        ]
    return [
        "The browser will warn that it does not know the certificate. View it there, and go on only if its SHA-256 is",
        f"  {colons(route.sha256)}",
    ]


def colons(digits: str) -> str:
    """A fingerprint as certificate viewers group it."""
    return ":".join(digits[index : index + 2] for index in range(0, len(digits), 2)).upper()


def place(context: Context, directory: str) -> Place:
    """Where the authority is: the directory that was named, or ``ca`` beside the inventory."""
    if directory:
        return Place(os.path.abspath(os.path.expanduser(directory)))
    sources = [os.path.expanduser(source) for source in context.inventory or default_sources(os.environ)]
    if str(collection_path() / "inventory") in sources:
        raise BadInput(
            "-i", "there is no inventory of yours, beside which the authority is kept",
            hint=f"Write {own_inventory(os.environ)}/hosts.yml, or name an inventory",
        )
    found = beside(sources)
    if not found:
        raise BadInput("-i", f"{', '.join(sources)} does not exist", hint="Name an inventory file or directory")
    return Place(found)


def command_line(context: Context, directory: str, verb: str) -> str:
    """``hpc-jupyter ca VERB`` as it is to be typed."""
    sources = [word for source in context.inventory for word in ("-i", source)]
    named = ["--directory", directory] if directory else []
    return shlex.join(["hpc-jupyter", *sources, "ca", verb, *named])


def authority(context: Context) -> Authority | None:
    """The lab's authority, where there is one that can be read."""
    try:
        return read(place(context, ""))
    except (HpcJupyterError, OSError):
        return None


def _shown(route: Route) -> str:
    """The certificate that the session shows, as PEM; empty if it is not the one it was known by."""
    try:
        shown = ssl.get_server_certificate((LOOPBACK, route.port), timeout=_SECONDS)
    except OSError:
        return ""
    return shown if hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest() == route.sha256 else ""

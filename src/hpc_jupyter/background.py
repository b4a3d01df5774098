"""Leave a connection to a process of its own, which holds and mends it until ``disconnect``."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import identify

from hpc_jupyter.access import Attached
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.context import Context
from hpc_jupyter.errors import NoForward
from hpc_jupyter.ports import Wanted

_SECONDS = 600.0
"""Longer than it takes to try one route after the other, each of which may have to be offered first."""
_STARTED: list[subprocess.Popen[bytes]] = []
"""They outlive this process; nobody waits for them."""


def start(context: Context, connector: Connector, attached: Attached, wanted: Wanted) -> Link:
    """Start a holder and wait until it has connected; join the one that there is. Raises ``NoForward``."""
    with connector.store.lock(connector.session):
        joined = connector.join(attached, wanted)
    if joined:
        return joined
    log = connector.store.log(connector.session)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        process = subprocess.Popen(
            _argv(context, connector, wanted),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    _STARTED.append(process)
    return _await(process, connector, attached, wanted)


def _argv(context: Context, connector: Connector, wanted: Wanted) -> list[str]:
    sources = [word for source in context.accounts.sources for word in ("-i", source)]
    fixed = ["--port", str(wanted.port)] if wanted.port else []
    further = [f"--forward={here}:{there}" if here else f"--forward={there}" for here, there in wanted.ports]
    return [
        sys.executable,
        "-P",
        "-m",
        "hpc_jupyter",
        *sources,
        "hold",
        connector.account,
        "--session",
        connector.session,
        *fixed,
        *further,
    ]


def _await(process: subprocess.Popen[bytes], connector: Connector, attached: Attached, wanted: Wanted) -> Link:
    connector.progress.now(f"Connecting to {attached.record.node}")
    holder = identify(process.pid)
    deadline = time.monotonic() + _SECONDS
    try:
        while time.monotonic() < deadline:
            held = connector.store.read(connector.session)
            if held.holder == holder and held.is_up:
                # It may have asked the session to offer itself in another way.
                seen = connector.attach()
                return connector.held_link(seen, held)
            if process.poll() is not None:
                break
            connector.progress.tick()
            time.sleep(0.1)
    except BaseException:
        holder.end()
        raise
    holder.end()
    if process.poll() == 0:  # another one was faster, and it has joined that one
        with connector.store.lock(connector.session):
            joined = connector.join(connector.attach(), wanted)
        if joined:
            return joined
    raise NoForward(_last_words(connector))


def _last_words(connector: Connector) -> str:
    text = connector.store.log(connector.session).read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("hpc-jupyter: ") for line in lines if line.startswith("hpc-jupyter: ")]
    return (said or lines or [f"the background process did not connect within {_SECONDS:.0f} seconds"])[-1]

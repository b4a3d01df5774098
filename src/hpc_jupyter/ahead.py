"""What is known to be needed next is fetched while Ansible still tidies up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec

from hpc_jupyter.access import Attached
from hpc_jupyter.connection import Connector
from hpc_jupyter.play import Step


class Ahead:
    """Asks for the session's record and token as soon as a step of the play says that it is ready."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._found: Attached | None = None
        self._asking: threading.Thread | None = None

    def see(self, step: Step) -> None:
        """Take one step of the play in."""
        session = step.result.get("session")
        ready = isinstance(session, Mapping) and session.get("state") == rec.READY
        if ready and self._asking is None:
            self._asking = threading.Thread(target=self._ask, daemon=True)
            self._asking.start()

    def _ask(self) -> None:
        with contextlib.suppress(Exception):  # whoever asks again is told
            self._found = self._connector.attach()

    def result(self) -> Attached | None:
        """The answer; ``None`` where nobody was asked or there was none, so that whoever needs it asks and is told."""
        if self._asking is not None:
            self._asking.join()
        return self._found

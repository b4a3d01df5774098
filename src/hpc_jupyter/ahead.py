"""A session is connected to as soon as it is ready, while Ansible still tidies up."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Self

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec

from hpc_jupyter.connection import Link
from hpc_jupyter.events import Step


class Ahead:
    """Connects once a step of the play says that the session is ready, and calls ``then`` when that is done.

    A connection that nobody took is dropped, also one that comes when everybody has left: this process waits for it.
    """

    def __init__(self, connect: Callable[[], Link], drop: Callable[[Link], None], then: Callable[[], None]) -> None:
        self._connect = connect
        self._drop = drop
        self._then = then
        self._link: Link | None = None
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_left = True
            link, self._link = self._link, None
        if link is not None:
            self._drop(link)

    def see(self, step: Step) -> None:
        """Take one step of the play in."""
        session = step.result.get("session")
        ready = isinstance(session, Mapping) and session.get("state") == rec.READY
        if ready and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ahead")
            self._thread.start()

    def _run(self) -> None:
        try:
            link = self._connect()
        except Exception as error:  # noqa: BLE001
            self._error = error  # whoever takes the connection is told
        else:
            with self._lock:
                self._link, dropped = (None, link) if self._is_left else (link, None)
            if dropped is not None:
                with contextlib.suppress(Exception):
                    self._drop(dropped)
        finally:
            self._then()

    def take(self) -> Link | None:
        """The connection, which is the caller's from now on; ``None`` if no step called for one; raises why not."""
        if self._thread is None:
            return None
        self._thread.join()
        if self._error is not None:
            raise self._error
        with self._lock:
            link, self._link = self._link, None
        return link

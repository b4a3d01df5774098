"""A session is connected to as soon as it is ready, while Ansible still tidies up; the way there is opened before."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Protocol, Self

from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec

from hpc_jupyter.access import Attached
from hpc_jupyter.connection import Link
from hpc_jupyter.events import Step
from hpc_jupyter.following import News, Word
from hpc_jupyter.forward import Forward

_SOON_SECONDS = 2.0
"""What the play has seen, the account is about to tell as well."""


class _Left(Exception):
    """Nobody waits any more."""


class Way(Protocol):
    """The way to one session."""

    def begin(self, attached: Attached) -> Forward | None:
        """The forward to a session that still starts; not waited for, not proven, and ``None`` where that is no use."""

    def connect(self, attached: Attached | None, begun: Forward | None) -> Link:
        """A proven connection, by what was ``begun`` if that fits; without ``attached`` the account is asked."""

    def drop(self, link: Link) -> None:
        """End a connection that nobody wants."""


class Ahead:
    """Takes the ``way`` to a session as far as the ``news`` of it go, and calls ``then`` when it has come to its end.

    A connection that nobody took is dropped, also one that comes when everybody has left: this process waits for it.
    """

    def __init__(self, way: Way, news: News, then: Callable[[], None]) -> None:
        self._way = way
        self._news = news
        self._then = then
        self._link: Link | None = None
        self._error: Exception | None = None
        self._called_for = threading.Event()
        self._lock = threading.Lock()
        self._is_left = False
        self._begun: Forward | None = None
        self._thread = threading.Thread(target=self._run, name="ahead")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_left = True
            link, self._link = self._link, None
        self._news.put(Word.LEFT)
        if link is not None:
            self._way.drop(link)

    def see(self, step: Step) -> None:
        """Take one step of the play in."""
        session = step.result.get("session")
        if isinstance(session, Mapping) and session.get("state") == rec.READY and not self._called_for.is_set():
            self._called_for.set()
            self._news.put(Word.READY)

    def take(self) -> Link | None:
        """The connection, which is the caller's from now on; ``None`` if nothing called for one; raises why not."""
        if not self._called_for.is_set():
            return None
        self._thread.join()
        if self._error is not None:
            raise self._error
        with self._lock:
            link, self._link = self._link, None
        return link

    def _run(self) -> None:
        link: Link | None = None
        try:
            link = self._way.connect(self._ready(), self._begun)
        except _Left:
            pass
        except Exception as error:  # noqa: BLE001
            self._error = error  # whoever takes the connection is told
        finally:
            if self._begun is not None and (link is None or link.forward is not self._begun):
                self._begun.close()
            self._keep(link)
            if self._error is None or self._called_for.is_set():  # the play tells of a session that is not ready
                self._then()

    def _ready(self) -> Attached | None:
        """Wait until the session is ready, and begin meanwhile; ``None`` if it is, but only the play has told so."""
        is_over = False
        while not (is_over and self._called_for.is_set()):
            try:
                news = self._news.get(timeout=_SOON_SECONDS if self._called_for.is_set() else None)
            except queue.Empty:
                break
            if news is Word.LEFT:
                raise _Left
            is_over = is_over or news is Word.OVER
            if isinstance(news, Attached) and news.record.state == rec.READY:
                self._called_for.set()
                return news
            if isinstance(news, Attached) and self._begun is None:
                self._begun = self._way.begin(news)
        return None

    def _keep(self, link: Link | None) -> None:
        with self._lock:
            self._link, dropped = (None, link) if self._is_left else (link, None)
        if dropped is not None:
            with contextlib.suppress(Exception):
                self._way.drop(dropped)

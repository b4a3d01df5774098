"""A question to the account that stays open: what there is of a session, and then what becomes of it."""

from __future__ import annotations

import contextlib
import enum
import os
import queue
import secrets
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.interpreter import (
    CUT_SHORT,
    first_look,
    followed_look,
    is_whole,
)

from hpc_jupyter.access import Access, Attached, Seen
from hpc_jupyter.errors import Unreachable

_FOLLOWED_SECONDS = 60
"""What takes longer is asked about when the play has seen it; nothing watches for hours beside Ansible's own module."""
_ANSWER_SECONDS = 60.0
_ROOM_SECONDS = 10.0
_GRACE_SECONDS = 2.0


class Word(enum.Enum):
    """What else may be news: no more answers will come, the play has seen the session ready, nobody waits any more."""

    OVER = enum.auto()
    READY = enum.auto()
    LEFT = enum.auto()


News = queue.SimpleQueue[Attached | Word]


@dataclass(frozen=True)
class _First:
    """What the account said up to its first answer, and that answer, if it gave one."""

    said: str = ""
    seen: Seen | None = None


class Following:
    """``see`` gives the account's first answer, as ``Access.see`` does; whatever it tells of a session is ``news``.

    ``look`` is for ``open_master``: the first command after a login then asks as well. With 0 ``seconds`` there is no
    other answer than the first.
    """

    def __init__(self, access: Access, session: str, *, seconds: int = _FOLLOWED_SECONDS) -> None:
        self.news: News = queue.SimpleQueue()
        self._access = access
        self._session = session
        self._seconds = seconds
        self._first: _First | None = None
        self._end = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def look(self, nonce: str) -> ssh.Answer:
        """Look for a Python on the account, then ask."""
        cluster, files = self._access.cluster, self._access.files
        argv = followed_look(cluster, files, nonce=nonce, session=self._session, seconds=self._seconds)
        first = self._ask(argv, nonce)
        if first.seen is None:  # never set up, set up by a release that follows nothing, or not let in beside another
            return ssh.run_remote(cluster, files, first_look(cluster, files, nonce=nonce))
        return ssh.Answer(0 if is_whole(first.said, nonce=nonce) else CUT_SHORT, first.said, "")

    def see(self) -> Seen:
        """Who has set the account up, and the session."""
        if self._first is not None and os.path.exists(self._access.files.entrance):
            self._end.close()  # the way has gone on to another login host
            self._first = None
        nonce = secrets.token_hex(16)
        question = self._access.question("attach", self._session, nonce, "--follow", str(self._seconds))
        seen = (self._first or self._ask(question, nonce)).seen
        return seen if seen is not None and seen.installed else self._access.see(self._session)

    def _ask(self, argv: Sequence[str], nonce: str) -> _First:
        """Ask, and wait for the first answer.

        A login host may let only one command at a time run on a connection (MaxSessions). There the question does not
        stay open: Ansible's command could not run beside it.
        """
        news: News = queue.SimpleQueue()
        asked = self._end.enter_context(_Asked(self._access, argv, nonce, news))
        stays = self._seconds > 0 and self._has_room()
        self._first = asked.first()
        self.news = news
        if not stays or self._first.seen is None:
            self._end.close()
        return self._first

    def _has_room(self) -> bool:
        try:
            return self._access.cluster.local or bool(self._access.run(["true"], seconds=_ROOM_SECONDS, by_master=True))
        except Unreachable:
            return False


class _Asked:
    """The account's command, which ends with its input; its output is read as it comes."""

    def __init__(self, access: Access, argv: Sequence[str], nonce: str, news: News) -> None:
        self._access = access
        self._nonce = nonce
        self._news = news
        self._firsts: queue.SimpleQueue[_First] = queue.SimpleQueue()
        self._process, self._input, self._output = ssh.begin_remote(access.cluster, access.files, argv)
        self._reader = threading.Thread(target=self._read, name="following")

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let it end by itself: only then another command may be let in."""
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_GRACE_SECONDS)
        self._reader.join(_GRACE_SECONDS)
        if not self._reader.is_alive():  # something may have kept the output open
            self._output.close()

    def first(self) -> _First:
        """The first answer, once it is there; raises ``Unreachable`` where none comes."""
        try:
            return self._firsts.get(timeout=_ANSWER_SECONDS)
        except queue.Empty:
            cluster = self._access.cluster
            why = f"{cluster.account} did not answer within {_ANSWER_SECONDS:g} seconds"
            raise Unreachable(f"{cluster.name}: {why}. Its home directory or the scheduler may hang") from None

    def _read(self) -> None:
        said: list[str] | None = []
        for line in self._output:
            text = line.decode("utf-8", "replace")
            seen = self._access.understood(text, self._nonce)
            if said is not None:
                said.append(text)
            if said is not None and seen is not None:
                self._firsts.put(_First("".join(said), seen))
                said = None
            if seen is not None and isinstance(seen.session, Attached):
                self._news.put(seen.session)
        self._firsts.put(_First("".join(said or ())))
        self._news.put(Word.OVER)

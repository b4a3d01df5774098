# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``hpc-session attach --follow``: an answer now, and another one as soon as the session starts and is ready.

The scheduler is asked for the first answer alone; what follows is the record's own word, believed only where it has
changed since. The exit code is the first answer's as long as nothing followed.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from typing import Callable

from ansible_collections.hpc.jupyter.plugins.module_utils import race
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.verbs import (
    BAD_INPUT,
    FAILED,
    OK,
    Account,
    answered,
    checked_nonce,
    frame,
    name_of,
    token_of,
    way_to,
)

_LONGEST_SECONDS = 86400.0
_LOOK_SECONDS = 0.04


def follow(
    options: argparse.Namespace, first: Callable[[Account], dict[str, object]],
    also: Callable[[Account], dict[str, object]],
) -> int:
    """The ``first`` answer, with the exit code that it would have alone, and then the session's changes.

    What is ``also`` to be told comes with the first answer, even where that is a failure.
    """
    nonce, seconds = checked_nonce(options), _checked(options.follow)
    followed: list[Followed] = []
    more: dict[str, object] = {}

    def answer(account: Account) -> dict[str, object]:
        more.update(also(account))
        followed.append(Followed(account, name_of(options)))  # before: the scheduler takes its time, and Jupyter starts
        return first(account)

    try:
        told, code = answered(answer)
        frame(nonce, {**more, **told, "code": code})
        is_over = code in (BAD_INPUT, FAILED) or bool(told.get("token"))
        return code if is_over else _stay(followed[0], nonce, until=time.monotonic() + seconds, code=code)
    except ConnectionError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is unwritten is no failure at the exit
        return OK


def _checked(seconds: float) -> float:
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise BadInput("follow", f"{seconds} is not allowed", hint=f"Use 0 to {_LONGEST_SECONDS:.0f} seconds")
    return seconds


def _stay(followed: Followed, nonce: str, *, until: float, code: int) -> int:
    """Tell what changes, until nothing more is to come or nobody listens any more; returns the exit code."""
    while time.monotonic() < until and not _is_left():
        news = followed.news()
        if news is None:
            continue
        record, token = news
        code = OK
        if token:
            frame(nonce, {**way_to(record, token), "version": followed.account.version})
        if record.state in (rec.READY, rec.ENDED):
            break
    return code


def _is_left() -> bool:
    """Whether the client has closed our input, or has written there, which means the same; pauses until the next look.

    An ssh whose client is gone would leave us behind otherwise.
    """
    try:
        return bool(select.select([0], [], [], _LOOK_SECONDS)[0])
    except OSError:  # there is no input
        return True


class Followed:
    """A session, and its record as it was at first and as it was last seen."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self._name = name
        self._path = account.layout.session(name).record
        self._first = self._last = rec.read(self._path)

    def news(self) -> tuple[Record, str] | None:
        """The record and its token if there is anything to tell; without a token where a new session has ended.

        What cannot be read yet is looked for again.
        """
        try:
            record = rec.read(self._path)
            if record is None or record == self._last:
                return None
            is_news = self._is_news(record)
            token = token_of(self.account, self._name) if is_news and record.state != rec.ENDED else ""
            if is_news and record.state == rec.READY:
                record = race.claim(self.account.layout.session(self._name), record)
        except (HpcJupyterError, OSError):
            return None
        self._last = record
        return (record, token) if is_news else None

    def _is_news(self, record: Record) -> bool:
        if record.state == rec.ENDED:
            return record.generation > (self._first.generation if self._first else 0)
        if record.state == rec.READY:
            return self._first is None or self._first.state != rec.READY or _run(record) != _run(self._first)
        return record.state == rec.STARTING and record.socket != ""


def _run(record: Record) -> tuple[object, ...]:
    """Which run of which job it is: one that was ready and is dead may still be written to."""
    return (record.generation, record.started_at, record.restarts)

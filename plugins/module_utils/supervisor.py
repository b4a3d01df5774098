# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that a job runs on its node: it starts Jupyter, proves it, keeps the record, and cleans up.

``supervise SESSION_DIR GENERATION``. Exit codes: 0 when the session ended as it should or another one has taken its
place, 1 when it failed; the reason is in the record and on the last line of the log.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from dataclasses import replace
from functools import partial

from ansible_collections.hpc.jupyter.plugins.module_utils import children, node, step, wishes
from ansible_collections.hpc.jupyter.plugins.module_utils import request as req
from ansible_collections.hpc.jupyter.plugins.module_utils.claim import Claim
from ansible_collections.hpc.jupyter.plugins.module_utils.endings import IDLE, TIME_LIMIT, End, Endings
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.jupyter import CannotStart
from ansible_collections.hpc.jupyter.plugins.module_utils.logged import decisive
from ansible_collections.hpc.jupyter.plugins.module_utils.node import NodeDirectory
from ansible_collections.hpc.jupyter.plugins.module_utils.offered import Offered
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Request
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name
from ansible_collections.hpc.jupyter.plugins.module_utils.server import POLL_SECONDS, Place, Server, code_text
from ansible_collections.hpc.jupyter.plugins.module_utils.signals import Signals
from ansible_collections.hpc.jupyter.plugins.module_utils.wishes import Wish

_OTHERS_SECONDS = 15.0
"""How often a running session looks whether a newer one has taken its place."""
_WISHES_SECONDS, _EARLY_SECONDS, _LATE_WISHES_SECONDS = 1.0, 600.0, 5.0
_CHILDREN_GRACE_SECONDS = 3.0
_LAST_MINUTE = 60.0
_IDLE = re.compile(r"No kernels for \d+ seconds; shutting down")
_FILE_MENU = "Shutting down on /api/shutdown request"
_TERMINATED = re.compile(r"received signal \d+, stopping")


def supervise(session_directory: str, generation: int) -> int:
    """Run the session to its end; returns the exit code."""
    os.umask(0o077)
    signals = Signals()
    children.adopt_orphans()
    claim = Claim(session_directory, generation, os.environ)
    try:
        record = claim.take()
    except (HpcJupyterError, OSError) as error:
        return _say(str(error), code=1)
    if record is None:
        return _say(claim.step_back, code=0)
    end = _run(claim, record, signals)
    try:
        if claim.conclude(how=end.how, reason=end.reason) is None:
            return _say("a newer session has taken this one's place; its record is left alone", code=0)
    except (HpcJupyterError, OSError) as error:
        _say(f"the record could not be written: {error}")
    return _say(f"session {record.session} ended ({end.how}): {end.reason}", code=1 if end.how == "failed" else 0)


def _run(claim: Claim, record: Record, signals: Signals) -> End:
    directory: NodeDirectory | None = None
    try:
        request = _request(claim)
        _check_user(record, request)
        _be_nice(request.nice)
        directory = _make_directory(claim)
        return _Session(claim, record, request, directory, signals).run()
    except (HpcJupyterError, OSError) as error:
        return End("failed", str(error))
    except Exception as error:  # noqa: BLE001 - whatever happens, the record says how the session ended
        return End("failed", f"a mistake in the supervisor: {type(error).__name__}: {error}")
    finally:
        children.end_descendants(os.getpid(), grace_seconds=_CHILDREN_GRACE_SECONDS, reap=children.reap)
        if directory is not None:
            directory.remove()


def _request(claim: Claim) -> Request:
    try:
        with open(claim.files.request, "rb") as stream:
            return req.from_json(stream.read())
    except OSError as error:
        raise CannotStart(f"{claim.files.request}: {error.strerror}. Launch the session again") from error


def _check_user(record: Record, request: Request) -> None:
    """Root's notebooks could change the whole cluster; on one's own machine that is one's own decision."""
    if os.geteuid() != 0:
        return
    if record.scheduler != "none" or request.offer != "loopback":
        raise CannotStart("refused to run as root: log in to the cluster with an account of your own")
    _say("warning: Jupyter runs as root on this machine, so does every notebook")


def _be_nice(wanted: int) -> None:
    """Stand back for others on the node; Jupyter and its kernels inherit it. Never towards the front."""
    os.nice(max(0, wanted - os.nice(0)))


def _make_directory(claim: Claim) -> NodeDirectory:
    home = os.path.expanduser("~")
    return node.make_directory(claim.files.path, temporary=node.temporary_directories(os.environ), home=home)


class _Session:
    """One session on its node, from its start to its end."""

    def __init__(
        self, claim: Claim, record: Record, request: Request, directory: NodeDirectory, signals: Signals,
    ) -> None:
        self._claim = claim
        self._record = record
        self._request = request
        self._signals = signals
        self._heeded = record.answered.partition(" ")[0]
        wish = self._wish()
        place = Place(claim.files, request, record.base_url, directory)
        self._endings = Endings(claim, record, request, config=directory.config, say=_say)
        self._offered = Offered(claim, record, place, signals, landing=wish.landing if wish else None,
                                prepare_step=partial(_prepare_step, claim, record))

    def run(self) -> End:
        """Start Jupyter, announce it once it is proven, and stay with it until the session is over."""
        try:
            problem = self._offered.begin(self._record.offer or self._request.offer)
            if problem:
                _say(f"offered by a socket: {problem}")
            if not self._signals.stop:
                _say(f"session {self._record.session} is ready on {self._record.node}")
                self._endings.begin(self._offered)
            return self._stay()
        finally:
            self._offered.close()

    def _stay(self) -> End:
        looks = Looks()
        while self._server is not None and self._server.poll() is None:
            if self._signals.stop:
                return self._stopped()
            end = self._endings.look(self._offered)
            if end is not None:
                return end
            if looks.is_time_for_others() and self._claim.is_superseded():
                return End("superseded", "a newer session has taken this one's place")
            if looks.is_time_for_wishes():
                self._heed(self._wish())
            self._offered.look_after()
            self._signals.wait(looks.pause())
        return self._ended_by_itself()

    @property
    def _server(self) -> Server | None:
        return self._offered.server

    def _wish(self) -> Wish | None:
        wish = wishes.read(self._claim.files.wish)
        return wish if wish is not None and wish.generation == self._record.generation else None

    def _heed(self, wish: Wish | None) -> None:
        """Do what was asked for, and answer in the record: the wish's id, and why not."""
        if wish is None or wish.id in ("", self._heeded):
            return
        self._heeded = wish.id
        problem = self._done(wish)
        _say(f"asked for {wish.want}: {problem or 'done'}")
        with contextlib.suppress(HpcJupyterError, OSError):
            self._claim.update(lambda record: replace(record, answered=f"{self._heeded} {problem}".strip()))

    def _done(self, wish: Wish) -> str:
        """Why it could not be done; only a server that does not come up again ends the session."""
        try:
            if wish.want == wishes.RESTART:
                self._offered.restart()
            else:
                self._offered.change(wish.want, landing=wish.landing)
        except CannotStart:
            raise
        except (HpcJupyterError, OSError) as error:
            return str(error)
        return ""

    def _stopped(self) -> End:
        ends_at = self._endings.ends_at
        if self._server is not None:
            self._server.shut_down()
        if ends_at and time.time() > ends_at - _LAST_MINUTE:
            return End(TIME_LIMIT, "the job's time is over")
        return End("stopped", "stopped on request")

    def _ended_by_itself(self) -> End:
        if self._server is None:
            return self._stopped()
        code, said = self._server.poll() or 0, self._server.lines()
        # Schedulers signal every process of a job at once, so Jupyter may be gone before our own signal is seen.
        self._signals.wait(POLL_SECONDS)
        if self._signals.stop or (code == 0 and any(_TERMINATED.search(line) for line in said[-20:])):
            return self._stopped()
        if code != 0:
            return End("failed", f"Jupyter ended with {code_text(code)}: {decisive(said)}")
        if any(_IDLE.search(line) for line in said[-20:]):
            return End(IDLE, f"nobody used it for {self._request.idle_seconds} seconds")
        asked = any(_FILE_MENU in line for line in said[-20:])
        return End("finished", "shut down from Jupyter's menu" if asked else "Jupyter ended by itself")


def _prepare_step(claim: Claim, record: Record) -> str:
    """The host key of the session's own sshd; without one the session has every other way all the same."""
    if not by_name(record.scheduler, root=os.path.dirname(os.path.dirname(claim.files.path))).steps:
        return ""
    try:
        return step.prepare(claim.files, environment=os.environ)
    except (HpcJupyterError, OSError) as error:
        _say(f"no route step: {error}")
        return ""


class Looks:
    """When to look for what others have written: soon after the start often, for a first client may ask for a way."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._wishes_at = 0.0
        self._others_at = time.monotonic() + _OTHERS_SECONDS

    def is_time_for_wishes(self) -> bool:
        """Whether to look for a wish now."""
        now = time.monotonic()
        due = now >= self._wishes_at
        if due:
            early = now - self._started < _EARLY_SECONDS
            self._wishes_at = now + (_WISHES_SECONDS if early else _LATE_WISHES_SECONDS)
        return due

    def is_time_for_others(self) -> bool:
        """Whether to look for a newer session now."""
        due = time.monotonic() >= self._others_at
        if due:
            self._others_at = time.monotonic() + _OTHERS_SECONDS
        return due

    def pause(self) -> float:
        """How long nothing has to be looked for; a way back is looked after in it as well."""
        return min(self._wishes_at, self._others_at) - time.monotonic()


def _say(text: str, *, code: int = 0) -> int:
    """One line in the job's log; a session does not end because that is full."""
    stream = sys.stderr if code else sys.stdout
    with contextlib.suppress(OSError, ValueError):
        stream.write(f"hpc-jupyter: {text}\n")
        stream.flush()
    return code

"""Hold a connection: notice when it breaks, mend it, and stop when the session is over."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import Busy

from hpc_jupyter import forward
from hpc_jupyter.connection import Connector, Link
from hpc_jupyter.errors import Failure, NoSession
from hpc_jupyter.exits import Exit

_PROBE_SECONDS = 15.0
_TICK_SECONDS = 1.0
_SLEPT_SECONDS = 10.0
_FAILED_PROBES = 2
_LONGEST_PAUSE_SECONDS = 30.0
_GIVE_UP_SECONDS = 24 * 3600.0
_FINAL = re.compile(r"was not let in|not pinned|host key has changed|is revoked|too many keys|has expired")
"""What trying again does not help against, and sites punish."""


@dataclass
class _Watch:
    """When to ask the session again: seldom, but at once after this machine has slept."""

    due: float
    clock: float
    failures: int = 0

    def is_due(self) -> bool:
        """Whether to ask now."""
        now, clock = time.monotonic(), time.time()
        slept = clock - self.clock > _SLEPT_SECONDS
        self.clock = clock
        return slept or now >= self.due

    def note(self, *, ok: bool) -> None:
        """Take in an answer; after a failed one ask again soon."""
        self.failures = 0 if ok else self.failures + 1
        self.due = time.monotonic() + (_PROBE_SECONDS if ok else 2 * _TICK_SECONDS)


def hold(connector: Connector, link: Link, say: Callable[[str], None]) -> None:
    """Hold ``link`` until the session is over; raises ``NoSession`` then, or what stands in the way of mending it."""
    current = link
    try:
        while True:
            reason = _until_broken(current)
            say(f"The connection to {current.record.node} is lost ({reason}); reconnecting")
            close(current)
            connector.store.lose(connector.session)
            current = mend(connector, current, say)
            say(f"Connected again: {current.address}")
    finally:
        close(current)
        connector.store.release(connector.session)


def close(link: Link) -> None:
    """End the forward, if this process holds it."""
    if link.forward is not None:
        link.forward.close()


def _until_broken(link: Link) -> str:
    watch = _Watch(due=time.monotonic() + _PROBE_SECONDS, clock=time.time())
    while link.forward is not None and link.forward.wait(_TICK_SECONDS):
        if not watch.is_due():
            continue
        answer = forward.ask(link.route.url, link.attached.token, sha256=link.route.sha256)
        watch.note(ok=answer.ok)
        if watch.failures >= _FAILED_PROBES:
            return answer.reason
    lines = (link.forward.stderr if link.forward else "").strip().splitlines()
    return lines[-1].strip() if lines else "ssh ended"


def mend(connector: Connector, link: Link, say: Callable[[str], None]) -> Link:
    """Connect again under the same port, with growing pauses; follows the session to another node.

    Raises ``NoSession`` when it is over, ``Unreachable`` when only a person can log in again.
    """
    import tenacity

    told: set[str] = set()

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if str(error) not in told:
            told.add(str(error))
            say(f"Still trying: {error}")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_worth_trying_again),
        wait=tenacity.wait_random_exponential(multiplier=1, max=_LONGEST_PAUSE_SECONDS),
        stop=tenacity.stop_after_delay(_GIVE_UP_SECONDS),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(_again, connector, link)


def _again(connector: Connector, link: Link) -> Link:
    connector.access.log_in(connector.progress, interactive=False)
    attached = connector.attach()
    connector.progress.done()
    with connector.store.lock(connector.session), connector.believing_the_scheduler():
        return connector.reconnect(attached, link)


def _is_worth_trying_again(error: BaseException) -> bool:
    if isinstance(error, Busy):
        return True
    if isinstance(error, NoSession) or not isinstance(error, Failure):
        return False
    return error.code != Exit.BAD_INPUT and not _FINAL.search(str(error))

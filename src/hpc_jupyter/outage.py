"""One time without a connection: how long it lasts, what is said of it, and when to try again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import TURNED_AWAY

from hpc_jupyter.errors import Failure, Waiting

_TRYING = "trying again"
_SHORT_SECONDS = 13.0
"""A cut of seconds, counted from the last answer, which may have been seconds before it."""
_SLOWER_AFTER_SECONDS = 60.0
_SHORTEST_KNOCK_SECONDS, _LONGEST_KNOCK_SECONDS = 0.3, 60.0
_LONGEST_PAUSE_SECONDS = 30.0
_TURNED_AWAY_SECONDS = 15.0
_LONGEST_AWAY_SECONDS = 300.0


@dataclass
class Outage:
    """``since`` is when the session answered last, by this machine's clock, which goes on while it sleeps.

    ``cut`` says that the network was away, so that the connections over it may be dead without knowing, ``moved`` that
    this machine has got another address, so that they are, and ``gone`` that the far end says that nobody is there.
    ``asked`` says that a person was asked to log in.
    """

    say: Callable[[str], None]
    since: float = field(default_factory=time.time)
    cut: bool = False
    moved: bool = False
    gone: bool = False
    asked: bool = False
    tries: int = 0
    _away: int = 0
    _told: list[str] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return max(0.0, time.time() - self.since)

    @property
    def awake(self) -> float:
        """How long of that this machine has been awake and could try."""
        return time.monotonic() - self._begun

    @property
    def is_short(self) -> bool:
        """Whether TCP repeats soon what it has sent, so that the connection that there is is the first to come back."""
        return self.seconds <= _SHORT_SECONDS

    def tell(self, why: str, *, then: str = _TRYING) -> None:
        """Say what is wrong, once for each reason; what a person has to do is said again after something else."""
        if why not in (self._told if then == _TRYING else self._told[-1:]):
            self._told.append(why)
            self.say(f"Connection lost {self.seconds:.0f} s ago: {why}; {then}")

    def over(self, *, now_at: str = "") -> None:
        """Say that it is over, if it was ever spoken of; ``now_at`` is what is no longer as it was."""
        if self._told or now_at:
            self.say(f"Back after {self.seconds:.0f} s{now_at and f', now {now_at}'}")

    def knock_pause(self) -> float:
        """Until the next try whether a host is there at all, which itself takes a second: longer only after minutes."""
        slower = (self.seconds - _SLOWER_AFTER_SECONDS) / _SLOWER_AFTER_SECONDS
        return _jittered(min(max(_SHORTEST_KNOCK_SECONDS, slower), _LONGEST_KNOCK_SECONDS))

    def pause_after(self, error: BaseException | None) -> float:
        """Until the next login: seconds at first, and long where a host closes the door on those who come often."""
        self.tries += 1
        if isinstance(error, Failure) and error.cause == TURNED_AWAY:
            self._away = min(self._away + 1, 10)
            return _jittered(min(_TURNED_AWAY_SECONDS * 2 ** (self._away - 1), _LONGEST_AWAY_SECONDS))
        if isinstance(error, Waiting):
            return _jittered(min(float(self.tries), 10.0))
        return _jittered(min(max(1.0, self.seconds / 30), _LONGEST_PAUSE_SECONDS))


def first_sentence(error: BaseException | None, *names: str) -> str:
    """What went wrong without the advice that follows, and without the ``names`` before it."""
    text = str(error).partition("\n")[0].partition(". ")[0]
    for name in names:
        text = text.removeprefix(f"{name}: ")
    return text


def _jittered(seconds: float) -> float:
    """Those whose connections broke at one moment must not all come back at one moment."""
    return seconds * random.uniform(0.7, 1.3)  # noqa: S311

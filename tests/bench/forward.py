"""What goes through the forward, against plain ssh on the same path to the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from subprocess import DEVNULL

from tests.bench.desk import Desk
from tests.bench.places import Places
from tests.bench.rounds import Turns
from tests.bench.rows import TIMES, Result, Row, against, medians

_BYTES = 200 * 1000**2
_FILE = "bench.bin"
_REQUESTS = 1000
_ROUNDS = 3
"""So many times as often as other rows: the bars are narrow, and a turn takes seconds."""
THROUGHPUT = Row(
    "throughput of the forward, against plain ssh -L", 0.97, TIMES, "a file of 200 MB, by the same hops", "≥"
)
LATENCY = Row("latency of the forward, against plain ssh -L", 1.03, TIMES, "1,000 requests one after the other")
ROWS = (THROUGHPUT, LATENCY)


def measure(places: Places) -> Iterator[Result]:
    """Both rows, by turns."""
    desk, runs = places.desk, _ROUNDS * places.settings.runs
    desk.clear()
    told = desk.detached()
    desk.person.login.run(["sh", "-c", f"head -c {_BYTES} /dev/urandom > ~/{_FILE}"], user="alice")
    with _plain(desk) as plain:
        urls = {"ours": str(told["url"]), "plain": plain}
        sent = Turns.of(runs, **{name: _download(desk, url) for name, url in urls.items()})
        yield Result(THROUGHPUT, against(sent["plain"], sent["ours"]), medians(ours=sent["ours"], plain=sent["plain"]))
        asked = Turns.of(runs, **{name: _requests(desk, url) for name, url in urls.items()})
        yield Result(LATENCY, against(asked["ours"], asked["plain"]), medians(ours=asked["ours"], plain=asked["plain"]))
    desk.clear()


def _download(desk: Desk, url: str) -> Callable[[], float]:
    return lambda: desk.load(url, f"/files/{_FILE}", requests=1, size=_BYTES)


def _requests(desk: Desk, url: str) -> Callable[[], float]:
    return lambda: desk.load(url, "/api/status", requests=_REQUESTS)


@contextmanager
def _plain(desk: Desk) -> Iterator[str]:
    """A plain forward that stays; its address."""
    record = desk.person.record()
    client, url = desk.lab.host("client"), desk.url(record)
    with client.popen(desk.plain(record), user="alice", stdout=DEVNULL, stderr=DEVNULL) as ssh:
        try:
            desk.await_answer(url)
            yield url
        finally:
            ssh.terminate()
            ssh.wait(timeout=10)

"""What the command takes while it does nothing but hold a forward."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import combinations

from hpclab.process import until
from tests.bench.desk import SECONDS, Desk
from tests.bench.places import Places
from tests.bench.rows import Result, Row

MEMORY = Row(
    "memory of launch while it holds a forward", 60, "MB",
    "resident, its Python processes together; ssh is left out and told beside it",
)  # fmt: skip
GROWTH = Row(
    "growth of that in an hour", 1, "MB", "the median slope between any two looks after the first fifth, an hour long"
)
ROWS = (MEMORY, GROWTH)
_OUTPUT = "/tmp/held"
_LOOKS = 60
_RESIDENT = re.compile(r"^Rss: +(\d+) kB", re.MULTILINE)


def measure(places: Places) -> Iterator[Result]:
    """Both rows from one launch in the foreground, as people leave it."""
    desk, minutes = places.desk, places.settings.hold_minutes
    desk.clear()
    time_wanted = f"{round(minutes) // 60 + 1}:00:00"  # the lab's jobs have ten minutes otherwise
    launch = desk.ours("launch", "alice@lab", "--no-browser", "--time", time_wanted)
    into = ["sh", "-c", 'exec "$@" > "$0" 2>&1', _OUTPUT, *launch]
    client = desk.lab.host("client")
    with client.popen(into, user="alice") as launched:
        output = client.root / _OUTPUT[1:]
        until(lambda: output.exists() and "Ctrl-C ends" in output.read_text(), what="the forward", seconds=SECONDS)
        looks = list(_look_again_and_again(desk, minutes=minutes))
        launched.interrupt()
        launched.wait(timeout=30)
    ours = [mega for _moment, mega, _ssh in looks]
    besides = statistics.median(ssh for *_ours, ssh in looks)
    yield Result(MEMORY, ours, f"{minutes:g} minutes; ssh {besides:.1f} MB besides")
    settled = [(moment, mega) for moment, mega, _ssh in looks[len(looks) // 5 :]]
    how = "measured" if minutes >= 60 else f"extrapolated from {minutes:g} minutes"
    yield Result(GROWTH, [_slope(settled)], f"{how}; {settled[0][1]:.2f} MB, then {settled[-1][1]:.2f} MB")
    desk.clear()


def _look_again_and_again(desk: Desk, *, minutes: float) -> Iterator[tuple[float, float, float]]:
    """Hours, and megabytes of the command and of ssh."""
    began = time.monotonic()
    for number in range(_LOOKS + 1):
        time.sleep(max(0, began + number * 60 * minutes / _LOOKS - time.monotonic()))
        found = {"ours": 0.0, "ssh": 0.0}
        for pid, argv in desk.lab.host("client").processes(user="alice"):
            with suppress(OSError):
                kind = "ssh" if argv[0].rpartition("/")[2].startswith("ssh") else "ours"
                found[kind] += _megabytes(desk, pid)
        yield (time.monotonic() - began) / 3600, found["ours"], found["ssh"]


def _megabytes(desk: Desk, pid: int) -> float:
    text = (desk.lab.host("client").root / f"proc/{pid}/smaps_rollup").read_text()
    resident = _RESIDENT.search(text)
    return int(resident[1]) * 1024 / 1e6 if resident else 0.0


def _slope(looks: Sequence[tuple[float, float]]) -> float:
    """Megabytes an hour."""
    return statistics.median(
        (later - earlier) / (after - before) for (before, earlier), (after, later) in combinations(looks, 2)
    )

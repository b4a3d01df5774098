"""What waiting in the queue costs the scheduler, and how soon the end of it is noticed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpclab.process import until
from tests.bench.desk import Desk
from tests.bench.places import Places
from tests.bench.rounds import say
from tests.bench.rows import Result, Row

QUERIES = Row(
    "scheduler queries a minute while a job waits", 2, "",
    "squeue, scontrol, sacct and sinfo on the login hosts about one session, from its submit on",
)  # fmt: skip
NOTICED = Row("start noticed after", 2, "s", "from the moment that the record says ready until launch says so")
ROWS = (QUERIES, NOTICED)
_SPIED = ("sbatch", "squeue", "scontrol", "sacct", "sinfo", "sstat")
_QUERIES = "/srv/queries"
_SPY = f"""\
#!/bin/sh
echo "$(date +%s.%N) ${{0##*/}} $*" >> {_QUERIES}
exec "/usr/bin/${{0##*/}}" "$@"
"""
_SECONDS = 120.0
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class _Waiting:
    """A launch whose job waits."""

    desk: Desk
    name: str

    @property
    def output(self) -> str:
        return f"/tmp/launch-{self.name}"

    def begin(self) -> None:
        options = ("--session", self.name, "--no-browser", "--extra=--begin=now+3hours")
        argv = self.desk.ours("launch", "alice@lab", *options)
        into = ["sh", "-c", 'exec "$@" > "$0" 2>&1', self.output]
        self.desk.lab.host("client").popen([*into, *argv], user="alice")
        until(lambda: "waits in the queue" in self.told(), what=f"{self.name} in the queue", seconds=_SECONDS)

    def told(self) -> str:
        path = self.desk.lab.host("client").root / self.output[1:]
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def job(self) -> str:
        beginning = f"hpc-jupyter-{self.name}-"
        return next(job for job, name, _state, _node in self.desk.person.squeue() if name.startswith(beginning))

    def state(self) -> str:
        path = f"home/alice/.local/share/hpc-jupyter/lab/sessions/{self.name}/record.json"
        return str(json.loads((self.desk.person.login.root / path).read_bytes())["state"])

    def release(self) -> tuple[float, float]:
        """Let the job start; the seconds from its first sign, and from ``ready``, until the command says it is."""
        self.desk.lab.host("ctl").run(["scontrol", "update", f"jobid={self.job()}", "starttime=now"])
        until(lambda: self.state() in ("starting", "ready"), what=f"start of {self.name}", seconds=_SECONDS)
        began = time.monotonic()
        until(lambda: self.state() == "ready", what=f"{self.name} ready", seconds=_SECONDS)
        ready = time.monotonic()
        until(lambda: "Ready on" in self.told(), what=f"word of {self.name}", seconds=_SECONDS)
        noticed = time.monotonic()
        return noticed - began, noticed - ready


def measure(places: Places) -> Iterator[Result]:
    """As many sessions as there are runs wait side by side; each is counted by itself."""
    desk, settings = places.desk, places.settings
    desk.clear()
    _spy(desk)
    waiting = [_Waiting(desk, f"s{number}") for number in range(settings.runs)]
    for each in waiting:
        each.begin()
    jobs = {each.name: each.job() for each in waiting}
    say(f"  {len(jobs)} jobs wait for {settings.queue_minutes:g} minutes")
    time.sleep(60 * settings.queue_minutes)
    log = desk.person.login.read(_QUERIES).splitlines()
    asked = [_asked(log, name, job) for name, job in jobs.items()]
    rates = [_rate(each, minutes=settings.queue_minutes) for each in asked]
    first = max(_rate(each, minutes=1) for each in asked)
    yield Result(QUERIES, rates, f"{len(jobs)} sessions, {settings.queue_minutes:g} minutes; in the first {first:g}")
    took = [each.release() for each in waiting]
    longest = max(began for began, _noticed in took)
    yield Result(NOTICED, [each for _began, each in took], f"at the most {longest:.1f} s from the job's first sign")
    desk.clear()


def _spy(desk: Desk) -> None:
    """Note every question that is asked on the login hosts from now on."""
    for host in (desk.lab.host("login1"), desk.lab.host("login2")):
        host.write(_QUERIES, "", mode=0o666)
        for program in _SPIED:
            host.write(f"/usr/local/bin/{program}", _SPY, mode=0o755)


def _asked(log: Sequence[str], name: str, job: str) -> list[float]:
    """The seconds after its submit at which one session was asked about."""
    mine = re.compile(rf"hpc-jupyter-{name}-|\b{job}\b")
    lines = [line.split(maxsplit=2) for line in log if mine.search(line)]
    submitted = next(float(moment) for moment, program, _arguments in lines if program == "sbatch")
    return [float(moment) - submitted for moment, program, _arguments in lines if program != "sbatch"]


def _rate(asked: Sequence[float], *, minutes: float) -> float:
    """Questions a minute, from the submit on for so long."""
    return sum(0 < moment < 60 * minutes for moment in asked) / minutes

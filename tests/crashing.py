"""Kill the account's own command at every step that it takes, then run it again.

usage: python crashing.py ROOT start|stop [none|slurm [before|after]]   (ROOT: an account directory with tiny jobs)

A step is an event of Python's own auditing that changes a file of the account, starts a program or sends a signal. The
command is killed before the first, the second, … until one run gets to its end. Prints JSON: how many steps there were,
and all that was wrong.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils import command, session
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name

_CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.utime", "shutil.rmtree")
_SIDE_BY_SIDE, _SIDE_BY_SIDE_AFTER = 12, 3
_MOST_STEPS = 200
_STOPPED, _THERE = (0,), (0, 6)
_OLD_SECONDS = 3600
_READY_SECONDS = 120
"""At a scheduler some wait for others to end."""
_KNOWN = {"cookie_secret", "job.log", "record.json", "request.json", "token", "wish.json"}
_TEMPORARY = re.compile(r"\.(new|clock|room)-.*|(lock|record\.json\.writing)(\.[0-9a-f]{16})?")


@dataclass
class Killer:
    """Ends this process right before its ``number``-th step, or ``after`` its ``number``-th start of a program."""

    root: str
    number: int
    after: bool
    seen: int = 0

    def __call__(self, event: str, details: tuple[object, ...]) -> None:
        """Python's audit hook."""
        if self.seen >= self.number or not self._is_step(event, details):
            return
        self.seen += 1
        if self.seen < self.number:
            return
        if self.after:
            signal.setitimer(signal.ITIMER_REAL, 0.02)  # nobody handles the alarm: it ends us
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_step(self, event: str, details: tuple[object, ...]) -> bool:
        if self.after:
            return event == "subprocess.Popen"
        if event == "open":
            writes = isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            return bool(writes) and str(details[0]).startswith(self.root)
        if event in _CHANGES:
            return str(details[0]).startswith(self.root)
        return event == "subprocess.Popen" or (event == "os.kill" and details[1] != 0)


class Account:
    """The account directory, its command, and what is true of its sessions."""

    def __init__(self, root: str, scheduler: str) -> None:
        self.layout = Layout(root)
        self.scheduler = by_name(scheduler, root=root)

    def run(self, verb: str, name: str, *, dies_at: int = 0, after: bool = False) -> int:
        """The command's exit code, or the negative number of the signal that ended it."""
        pid = os.fork()
        if pid == 0:
            self._become(verb, name, dies_at=dies_at, after=after)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _become(self, verb: str, name: str, *, dies_at: int, after: bool) -> None:
        sys.argv = [self.layout.command]
        with open(f"{self.layout.root}/said-{name}", "a", encoding="utf-8") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        if dies_at:
            sys.addaudithook(Killer(self.layout.sessions, dies_at, after))
        code = 70
        with suppress(Exception):
            code = command.main([verb, "--session", name, *(["--wait", "0"] if verb == "start" else [])])
        os._exit(code)

    def jobs(self, name: str) -> list[str]:
        """The ids of the session's live jobs."""
        return [job.job_id for job in self.scheduler.find(session.job_name(name, self.layout))]

    def wrong(self, name: str, *, jobs: tuple[int, ...], state: str = "") -> Iterator[str]:
        """What does not hold: the number of jobs, the record and its state, the modes of the files."""
        found, files = self.jobs(name), self.layout.session(name)
        record = rec.read(files.record)
        if len(found) not in jobs:
            yield f"jobs {found}, expected {jobs}"
        if state and (record is None or record.state != state):
            yield f"not {state}: {record}"
        if state == rec.READY and record is not None and found != [record.job_id]:
            yield f"the record says {record.job_id}, there is {found}"
        for entry in os.scandir(files.path) if os.path.isdir(files.path) else ():
            with suppress(FileNotFoundError):  # a lock of the job's, which is written and gone meanwhile
                if stat.S_IMODE(entry.stat().st_mode) != 0o600:
                    yield f"{entry.name} is open to others"
            if entry.name not in _KNOWN and _TEMPORARY.fullmatch(entry.name) is None:
                yield f"{entry.name} is nobody's"

    def ready(self, name: str) -> Iterator[str]:
        """Wait until the session is ready; what is wrong then."""
        deadline = time.monotonic() + _READY_SECONDS
        while _state(self.layout, name) not in (rec.READY, rec.ENDED) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield from self.wrong(name, jobs=(1,), state=rec.READY)

    def expect(self, verb: str, name: str, codes: tuple[int, ...]) -> Iterator[str]:
        """Run the command to its end; what is wrong with its exit code."""
        code = self.run(verb, name)
        if code not in codes:
            yield f"{verb} ended with {code}"


def _state(layout: Layout, name: str) -> str:
    record = rec.read(layout.session(name).record)
    return record.state if record else ""


def start(account: Account, name: str, number: int) -> tuple[bool, list[str]]:
    """A launch that is killed; then the same again, and a stop."""
    code = account.run("start", name, dies_at=number, after=name.startswith("after"))
    problems = [*account.wrong(name, jobs=(0, 1)), *account.expect("start", name, _THERE), *account.ready(name)]
    return code < 0, [*problems, *_stopped(account, name)]


def stop(account: Account, name: str, number: int) -> tuple[bool, list[str]]:
    """A stop that is killed; then the same again, or first another launch."""
    problems = [*account.expect("start", name, _THERE), *account.ready(name)]
    code = account.run("stop", name, dies_at=number, after=name.startswith("after"))
    problems += account.wrong(name, jobs=(0, 1))
    if number % 2:
        problems += [*account.expect("start", name, _THERE), *account.ready(name)]
    return code < 0, [*problems, *_stopped(account, name)]


def _stopped(account: Account, name: str) -> Iterator[str]:
    yield from account.expect("stop", name, _STOPPED)
    yield from account.wrong(name, jobs=(0,), state=rec.ENDED)
    place = account.layout.session(name).path
    old = time.time() - _OLD_SECONDS
    for entry in os.listdir(place):
        with suppress(FileNotFoundError):
            os.utime(os.path.join(place, entry), (old, old))
    yield from account.expect("stop", name, _STOPPED)
    yield from (f"{entry} is left" for entry in os.listdir(place) if entry not in _KNOWN)


Scenario = Callable[[Account, str, int], tuple[bool, list[str]]]


def walk(account: Account, scenario: Scenario, *, prefix: str, width: int = _SIDE_BY_SIDE) -> tuple[int, list[str]]:
    """Every step of a scenario: how many there are, and what was wrong."""
    problems: list[str] = []
    steps = 0
    for first in range(1, _MOST_STEPS, width):
        numbers = range(first, first + width)
        running = [_beside(account, scenario, f"{prefix}{number}", number) for number in numbers]
        results = [_result(pid, stream) for pid, stream in running]
        for number, found in enumerate((found for _killed, found in results), start=first):
            problems += [f"{prefix}{number}: {problem}" for problem in found]
        steps += sum(killed for killed, _found in results)
        if steps < numbers[-1]:
            break
    return steps, problems


def _beside(account: Account, scenario: Scenario, name: str, number: int) -> tuple[int, int]:
    readable, writable = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writable)
        return pid, readable
    try:
        result = scenario(account, name, number)
    except BaseException as error:  # noqa: BLE001 - told to the parent
        result = (True, [f"{type(error).__name__}: {error}"])
    os.write(writable, json.dumps(result).encode()[:60000])
    os._exit(0)


def _result(pid: int, stream: int) -> tuple[bool, list[str]]:
    with os.fdopen(stream, "rb") as pipe:
        killed, problems = json.loads(pipe.read())
    os.waitpid(pid, 0)
    return killed, problems


def main(root: str, verb: str, scheduler: str = "none", which: str = "before after") -> None:
    """Walk, killing before each step, then once more, killing after each start of a program."""
    account, scenario = Account(root, scheduler), {"start": start, "stop": stop}[verb]
    steps = 0
    problems: list[str] = []
    for when, width in (("before", _SIDE_BY_SIDE), ("after", _SIDE_BY_SIDE_AFTER)):
        if when in which:
            walked, found = walk(account, scenario, prefix=f"{when}-{verb}-", width=width)
            steps, problems = steps + walked, problems + found
    print(json.dumps({"steps": steps, "problems": problems}))


if __name__ == "__main__":
    main(*sys.argv[1:])

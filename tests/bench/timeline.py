"""Where the time of one cold launch goes: what each host was seen to do, and when."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from pathlib import Path

from tests.bench.desk import HOPS, Desk, Timed

_LOOK_SECONDS = 0.01
_EVENT = re.compile(r"^(Accepted \w+ for|Starting session: \w+)", re.MULTILINE)
_RECORD = "home/alice/.local/share/hpc-jupyter/lab/sessions/default/record.json"
_PROGRAMS = {
    "ansible-playbook": "Ansible is started",
    "slurm_script": "the job's script is started",
    "supervise": "the job's supervisor is started",
    "jupyterlab": "JupyterLab is started",
    "-L": "the forward's ssh is started",
}


@dataclass
class _Watch:
    """Looks at all hosts, a hundred times a second, from outside."""

    desk: Desk
    seen: dict[tuple[str, str], float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.logs = {host: len(self.desk.log(host)) for host in HOPS}
        self.known = {pid for pid, _host in self._processes()}

    def run(self) -> None:
        """Until it is over."""
        while not self.over.wait(_LOOK_SECONDS):
            for look in (self._sshd, self._record, self._programs):
                look()

    def _note(self, host: str, what: str) -> None:
        self.seen.setdefault((host, what), time.time())

    def _sshd(self) -> None:
        for host, known in self.logs.items():
            text = self.desk.log(host)
            self.logs[host] = len(text)
            for event in _EVENT.findall(text[known:]):
                kind = "sshd lets in" if event.startswith("Accepted") else "sshd begins a command"
                earlier = sum(1 for where, what in self.seen if (where, what.rstrip("0123456789 ")) == (host, kind))
                self._note(host, f"{kind} {earlier + 1}")

    def _record(self) -> None:
        with suppress(OSError, ValueError):
            state = json.loads((self.desk.person.login.root / _RECORD).read_bytes())["state"]
            self._note("record", f"says {state}")

    def _programs(self) -> None:
        """One that becomes another program keeps its number, so the same is looked at again and again."""
        for pid, host in self._processes():
            if pid in self.known:
                continue
            with suppress(OSError):
                argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                for word, what in _PROGRAMS.items():
                    if any(part == word or part.endswith(f"/{word}") for part in argv):
                        self._note(host, what)

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Those of the person's, by the names of their hosts."""
        names = {(self.desk.lab.host(name).root.parent / "ns/uts").readlink(): name for name in ("client", *HOPS)}
        uid = self.desk.lab.topology.user("alice").uid
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if entry.stat().st_uid == uid and (host := names.get((entry / "ns/uts").readlink())):
                    yield int(entry.name), host


def of_a_launch(desk: Desk) -> str:
    """One more launch, watched; a table in Markdown."""
    desk.clear()
    watch = _Watch(desk)
    thread = threading.Thread(target=watch.run)
    thread.start()
    try:
        took = desk.answered(desk.ours("launch", "alice@lab", "--no-browser"))
    finally:
        watch.over.set()
        thread.join(timeout=30)
    told = takewhile(lambda each: not each[1].startswith(" "), took.lines)
    said = [(seconds, "client", f"says “{line}”") for seconds, line in told]
    events = [(moment - took.since, host, what) for (host, what), moment in watch.seen.items()]
    answered = (took.seconds, "client", "has the first answer through the forward")
    rows = [event for event in sorted([*said, *events, answered]) if event[0] <= took.seconds]
    lines = [f"| {seconds:.2f} | {host} | {what} |" for seconds, host, what in rows]
    return "\n".join(["Where a cold launch spends its time:\n", "| s | where | what |", "|---|---|---|", *lines])


def of_a_play(played: Timed) -> str:
    """The tasks of a play, from when each was named to when the next was; a table in Markdown."""
    begun = [(seconds, line.strip("* ")) for seconds, line in played.lines if line.startswith(("TASK [", "PLAY RECAP"))]
    tasks = [("Ansible starts, reads the inventory and the roles", 0.0, begun[0][0])]
    tasks += [(name, at, after) for (at, name), (after, _next) in pairwise([*begun, (played.seconds, "")])]
    lines = [f"| {at:.2f} | {after - at:.2f} | {name} |" for name, at, after in tasks]
    return "\n".join(["Where launch.yml alone spends it:\n", "| from | s | what |", "|---|---|---|", *lines])

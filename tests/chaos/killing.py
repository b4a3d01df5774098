"""Killing a program of the laptop's at every step that it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from subprocess import PIPE, STDOUT

from hpclab import Lab

STEP = re.compile(r"(?!ok:|changed:|skipping:|included:)\S")
"""A line that begins one. What Ansible says of a task's end is followed at once by the next one's beginning."""
MOST_STEPS = 120


def _killed_at_line(lab: Lab, argv: list[str], number: int, *, connection: bool) -> bool:
    """Run a program of the laptop's until it has begun ``number`` steps, then kill it, or every ssh that it has."""
    said = 0
    with lab.host("client").popen(argv, user="alice", stdout=PIPE, stderr=STDOUT) as program:
        assert program.stdout
        for line in program.stdout:
            is_step = STEP.match(line) is not None
            said += is_step
            if said == number and is_step and connection:
                _kill_ssh(lab)
            elif said == number and not connection:
                program.kill()
                break
        program.communicate(timeout=120)
    return said >= number


def _kill_ssh(lab: Lab) -> None:
    client = lab.host("client")
    pids = [str(pid) for pid, argv in client.processes(user="alice") if argv[0].split("/")[-1].startswith("ssh")]
    client.run(["kill", "-KILL", *pids], check=False)


def events(lab: Lab, argv: list[str], *, connection: bool = False) -> Iterator[int]:
    """Every step at which the program can be killed; it has been killed at that one when the number is given."""
    for number in range(1, MOST_STEPS):
        if not _killed_at_line(lab, argv, number, connection=connection):
            return
        yield number

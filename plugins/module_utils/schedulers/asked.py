# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How schedulers are asked: their commands with a deadline, and what is the same in all their answers."""

from __future__ import annotations

import calendar
import re
import time

from ansible_collections.hpc.jupyter.plugins.module_utils import run as running
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result

SUBMIT_SECONDS = 60
QUERY_SECONDS = 30
_PREFIX = re.compile(r"^(?:(?:qsub|qstat|qdel|bsub|bjobs|bkill|sbatch|scancel|squeue|srun): )?(?:error: )?")


def run(
    name: str, argv: list[str], *, seconds: float = QUERY_SECONDS, hidden: tuple[str, ...] = (), as_it_is: bool = False
) -> Result:
    """Run a command of the scheduler called ``name``; one that is missing is no answer."""
    try:
        return running.run(argv, timeout_seconds=seconds, hidden=hidden, as_it_is=as_it_is)
    except FileNotFoundError as error:
        raise SchedulerUnavailable(f"{name} cannot be asked from here: {error}") from error


def checked(result: Result, command: str) -> Result:
    """What ``command`` did, if it did it."""
    if result.timed_out:
        raise SchedulerUnavailable(f"{command} did not answer within {QUERY_SECONDS} seconds")
    if result.code != 0:
        raise SchedulerUnavailable(f"{command} failed: {words(result.err) or words(result.out)}")
    return result


def is_cut_off(result: Result) -> bool:
    """Whether a command that failed was killed, or cut short in its complaint: it has refused nothing."""
    return result.code < 0 or 128 < result.code <= 143 or not result.err.endswith("\n")


def words(text: str) -> str:
    """What a program said, in one line, without its name."""
    lines = [_PREFIX.sub("", line.strip()) for line in text.splitlines()]
    return "; ".join(line for line in lines if line and line != "Exiting.")


def seconds(text: str) -> float:
    """A time limit in seconds, of ``SECONDS`` or ``[[D:]H:]M:S``; 0 for anything else."""
    parts = text.split(":")
    if not all(part.isdigit() for part in parts) or len(parts) > 4:
        return 0.0
    total = 0
    for part, factor in zip(reversed(parts), (1, 60, 3600, 86400)):
        total += int(part) * factor
    return float(total)


def epoch(text: str, form: str) -> int:
    """A time that a program wrote in UTC, as it is told to, in seconds since the epoch; raises ``ValueError``."""
    return calendar.timegm(time.strptime(text, form))


def moment(at: float) -> str:
    """Seconds since the epoch as records write them; empty for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) if at else ""

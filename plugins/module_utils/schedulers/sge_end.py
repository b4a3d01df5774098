# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a job of Grid Engine ended: known to ``qacct`` alone, where the accounting file can be read from here."""

from __future__ import annotations

import re

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import asked
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import GONE, Job

_SECONDS = 10
"""``qacct`` reads a file that may be large from its beginning: the end is not worth a longer wait."""
_LINE = re.compile(r"^(\w+) +(\S.*?)? *$", re.MULTILINE)
_ENFORCED = "37"
_AFTER = "100"


def ended(job_id: str) -> Job:
    """A job that is gone, with how it ended where that can be told."""
    try:
        told = asked.run("sge", ["qacct", "-j", job_id], seconds=_SECONDS)
    except SchedulerUnavailable:
        return Job(job_id, GONE)
    return parse(told.out, job_id=job_id) if told.code == 0 and not told.timed_out else Job(job_id, GONE)


def parse(text: str, *, job_id: str) -> Job:
    """How the last run of the job ended, from what ``qacct`` printed."""
    said = dict(_LINE.findall(text.rpartition("=====")[2]))
    failed = said.get("failed", "").partition(":")
    number, words = failed[0].strip(), failed[2].strip()
    code = said.get("exit_status", "").split()
    if said.get("jobnumber") != job_id or not number.isdigit() or not code:
        return Job(job_id, GONE)
    how, reason = _end(number, words, code[0], said)
    return Job(job_id, GONE, how=how, reason=reason, node=said.get("hostname", "").split(".")[0])


def _end(failed: str, words: str, code: str, said: dict[str, str]) -> tuple[str, str]:
    if failed == "0":
        return ("finished", "") if code == "0" else ("failed", f"it ended with exit code {code}")
    if failed == _ENFORCED and _is_over(said):
        return "time limit", "the job's time is over"
    if failed == _AFTER and code.isdigit() and int(code) > 128:
        return "stopped", f"it was deleted, or killed by signal {int(code) - 128}"
    return "failed", words or f"failed {failed}"


def _is_over(said: dict[str, str]) -> bool:
    """Grid Engine has one number for time and memory."""
    limit = re.search(r"\bh_rt=([\d:]+)", said.get("category", ""))
    lasted = re.match(r"[\d.]+", said.get("ru_wallclock", ""))
    return bool(limit and lasted and float(lasted.group()) >= asked.seconds(limit.group(1)))

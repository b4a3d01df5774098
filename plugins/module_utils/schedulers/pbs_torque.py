# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Torque has otherwise than PBS: ``nodes=1:ppn=…``, arguments in ``-F``, XML, and names of 15 characters.

From its documentation and other projects' experience; no Torque was at hand.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, Mapping
from xml.etree import ElementTree as ET

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.request import time_seconds
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Order, split

_SHORT = 15
_NAME = "HPC_JUPYTER_NAME"
_LIVE = re.compile(rf"(?:^|,){_NAME}=([^,]*)")


def common_options(order: Order, *, name: str) -> list[str]:
    """Of PBS and Torque."""
    wanted = order.resources
    options = {
        "-q": wanted.partition, "-A": wanted.project, "-M": wanted.mail_user, "-m": wanted.mail_type,
        "-W": wanted.dependency and f"depend={wanted.dependency}",
    }
    fixed = ["-N", name, "-j", "oe", "-o", "/dev/null", "-r", "n"]
    return [*fixed, *(word for pair in options.items() if pair[1] for word in pair)]


def submit_argv(order: Order) -> list[str]:
    """The ``qsub`` command line of Torque for ``order``; its whole name goes along in a variable."""
    wanted = order.resources
    kind, _colon, gpus = wanted.gpus.rpartition(":")
    node = ["1", f"ppn={wanted.cpus or 1}", gpus and f"gpus={gpus}", kind, wanted.constraint]
    limits = {
        "nodes": ":".join(part for part in node if part), "mem": wanted.memory and f"{wanted.memory.lower()}b",
        "walltime": str(time_seconds(wanted.time)) if wanted.time else "",
        "naccesspolicy": "singlejob" if wanted.exclusive else "",
    }
    # Without -S it would be read by the login shell, which may be tcsh.
    fixed = [*common_options(order, name=order.name[:_SHORT]), "-S", "/bin/bash", "-v", f"{_NAME}={order.name}"]
    asked_for = ",".join(f"{name}={value}" for name, value in limits.items() if value)
    script, *arguments = order.argv
    last = ["-F", " ".join(map(shlex.quote, arguments)), script]
    return ["qsub", *fixed, "-l", asked_for, *split(wanted.extra), *last]


def parse(text: str) -> Mapping[str, Mapping[str, Any]]:
    """The jobs in the output of ``qstat -x``, as PBS has them."""
    start = text.find("<Data>")
    if start < 0:
        return {}
    try:
        root = ET.fromstring(text[start:].strip())  # noqa: S314 - the scheduler's own
    except ET.ParseError as error:
        raise SchedulerUnavailable("qstat's answer was cut off, or is none") from error
    return dict(_attributes(job) for job in root.iter("Job"))


def _attributes(job: ET.Element) -> tuple[str, dict[str, Any]]:
    told: dict[str, Any] = {
        each.tag: {inner.tag: inner.text or "" for inner in each} if len(each) else each.text or "" for each in job
    }
    whole = _LIVE.search(str(told.get("Variable_List", "")))
    if whole:
        told["Job_Name"] = whole.group(1)
    if not told.get("Job_Id"):
        raise SchedulerUnavailable("qstat's answer has a job without a number")
    return str(told["Job_Id"]), told

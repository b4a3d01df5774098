# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at on an account when something does not work; nothing is changed there."""

from __future__ import annotations

import os
import re
import socket
import ssl
import stat
import time
from dataclasses import dataclass
from typing import Callable, Iterable, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import account, activation, interpreters, observing, run
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate as certificates
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError, SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler

OK, WARN, FAIL = "ok", "warn", "fail"

_SETUP = "Set the account up: hpc-jupyter setup {account}"
_WAIT = "Try again later, then ask the site"
_MODULES = ("jupyterlab", "jupyter_server", "ipykernel")
_PACKAGES = ("jupyterlab", "jupyter-server")
_FEW_BYTES, _LITTLE_BYTES = 100 << 20, 2 << 30
_FEW_FILES, _LITTLE_FILES = 1000, 30000
"""Of these an environment alone needs most."""
_QUOTA_SECONDS = 10
_FEW_DAYS, _LITTLE_DAYS = 2, 30
_CONNECT_SECONDS = 3.0
_QUOTA_ROW = re.compile(r"^\s*(?P<device>\S+)\s+(?P<rest>[\d*]+(?:\s+\S+)*)\s*$")


@dataclass(frozen=True)
class Check:
    """One line: what was looked at, how it is, in words, and what to do."""

    name: str
    state: str
    text: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """For Ansible and JSON."""
        return {"check": self.name, "state": self.state, "text": self.text, "remedy": self.remedy}


@dataclass(frozen=True)
class Patient:
    """The account; ``route`` is the cluster's, ``worked`` the one that worked last on the person's computer."""

    name: str
    layout: Layout
    scheduler: Scheduler
    resources: Resources
    allow_root: bool = False
    route: str = "auto"
    worked: str = ""

    @property
    def set_up(self) -> str:
        """What sets it up."""
        return _SETUP.format(account=self.name)


def examine(patient: Patient) -> list[Check]:
    """All checks; one that cannot be carried out is a line that says so, and hides no other."""
    looks: tuple[tuple[str, Callable[[Patient], Iterable[Check]]], ...] = (
        ("scheduler", _scheduler), ("home", _home), ("space", _space), ("jupyter", _jupyter),
        ("certificate", _certificate), ("route", _route),
    )
    return [check for name, look in looks for check in _careful(name, look, patient)]


def _careful(name: str, look: Callable[[Patient], Iterable[Check]], patient: Patient) -> list[Check]:
    try:
        return list(look(patient))
    except (HpcJupyterError, OSError) as error:
        return [Check(name, FAIL, str(error))]


def _scheduler(patient: Patient) -> Iterable[Check]:
    name = patient.scheduler.name
    try:
        jobs = patient.scheduler.sessions()
    except SchedulerUnavailable as error:
        remedy = f"{_WAIT}. Sessions that run go on, and nothing is submitted meanwhile"
        yield Check("scheduler", FAIL, f"{name} does not answer: {error}", remedy)
        return
    answers = "there is none, as the facts say" if name == "none" else f"{name} answers"
    yield Check("scheduler", OK, f"{answers}; sessions: {len(jobs)}")
    yield _accepted(patient)


def _accepted(patient: Patient) -> Check:
    asked = ", ".join(part for part in (
        patient.resources.partition and f"partition {patient.resources.partition}",
        patient.resources.project and f"project {patient.resources.project}",
    ) if part) or "the defaults"
    try:
        patient.scheduler.check(patient.resources)
        refusal = patient.scheduler.refusal(patient.resources)
    except SchedulerUnavailable as error:
        return Check("job", FAIL, f"it is not known whether a session with {asked} would be taken: {error}", _WAIT)
    except HpcJupyterError as error:
        refusal = str(error)
    return _foretold(patient, refusal, asked)


def _foretold(patient: Patient, refusal: str | None, asked: str) -> Check:
    if refusal:
        remedy = "Correct jupyter_session_partition, jupyter_session_project and the other jupyter_session_… variables"
        return Check("job", FAIL, f"a session with {asked} would be refused: {refusal}", remedy)
    name = patient.scheduler.name
    if refusal is None:
        remedy = "Launch a session: one that is refused leaves nothing behind"
        return Check("job", WARN, f"{name} does not say beforehand whether it would take a session", remedy)
    if patient.scheduler.only_queue:
        return Check("job", OK, f"{_takes(patient.resources)}; what else {name} may refuse, it says at a launch")
    return Check("job", OK, f"a session with {asked} would be taken")


def _takes(resources: Resources) -> str:
    return f"queue {resources.partition} takes jobs" if resources.partition else "there are queues that take jobs"


def _home(patient: Patient) -> Iterable[Check]:
    home = os.path.expanduser("~")
    try:
        account.check_usable(patient.layout, allow_root=patient.allow_root, probe=True)
        yield Check("home", OK, f"files can be written in {home}")
    except HpcJupyterError as error:
        yield Check("home", FAIL, str(error), "Make room, or move the account's directory with hpc_root")
    yield _private("home", home, 0o022, f"chmod go-w {home}", ("nobody else may write in", "sshd then lets no key in"))
    if os.path.isdir(patient.layout.root):
        root, words = patient.layout.root, ("nobody else gets into", "others see what is there")
        yield _private("directory", root, 0o077, f"chmod 700 {root}", words)


def _private(name: str, path: str, bits: int, remedy: str, words: tuple[str, str]) -> Check:
    """``words`` say how good it is where none of ``bits`` is in its mode, and what follows from one that is."""
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & bits:
        return Check(name, FAIL, f"{path} is open to others (mode {mode:04o}): {words[1]}", remedy)
    return Check(name, OK, f"{words[0]} {path} (mode {mode:04o})")


def _space(_patient: Patient) -> Iterable[Check]:
    home = os.path.expanduser("~")
    found = os.statvfs(home)
    yield _enough("disk", found.f_bavail * found.f_frsize, (_FEW_BYTES, _LITTLE_BYTES), _megabytes, home)
    if found.f_files:  # some file systems make them as they go
        yield _enough("inodes", found.f_favail, (_FEW_FILES, _LITTLE_FILES), "{} files".format, home)
    yield from _quota()


def _enough(name: str, left: int, floors: Sequence[int], shown: Callable[[int], str], where: str) -> Check:
    state = FAIL if left < floors[0] else WARN if left < floors[1] else OK
    remedy = "" if state == OK else "Remove what is no longer needed there, or ask the site for a larger quota"
    return Check(name, state, f"{shown(left)} left in {where}", remedy)


def _megabytes(count: int) -> str:
    return f"{count >> 20} MB"


def _quota() -> Iterable[Check]:
    try:
        told = run.run(["quota", "-w", "-p"], timeout_seconds=_QUOTA_SECONDS)
    except OSError:
        return
    for row in told.out.splitlines():
        match = _QUOTA_ROW.match(row)
        words = [word.rstrip("*") for word in match.group("rest").split()] if match else []
        if match is None or len(words) < 7 or not all(word.isdigit() for word in words):
            continue
        device = match.group("device")
        used, soft, hard, _grace, files, soft_files, hard_files = (int(word) for word in words[:7])
        if soft or hard:
            left = max((hard or soft) - used, 0) << 10
            yield _enough("quota", left, (_FEW_BYTES, _LITTLE_BYTES), _megabytes, f"the quota on {device}")
        if soft_files or hard_files:
            left = max((hard_files or soft_files) - files, 0)
            yield _enough("quota", left, (_FEW_FILES, _LITTLE_FILES), "{} files".format, f"the quota on {device}")


def _jupyter(patient: Patient) -> Iterable[Check]:
    script = patient.layout.environment_script
    if not os.path.exists(script):
        yield Check("jupyter", WARN, f"{patient.layout.root} is not set up", patient.set_up)
        return
    question = interpreters.question(modules=_MODULES, packages=_PACKAGES)
    found = interpreters.answered(activation.source(script, question), name="the environment's Python")
    if isinstance(found, str):
        yield Check("jupyter", FAIL, found, patient.set_up)
        return
    broken = "; ".join(f"{name} cannot be imported ({why})" for name, why in found.problems.items())
    if broken:
        yield Check("jupyter", FAIL, broken, patient.set_up)
        return
    yield Check("jupyter", OK, f"JupyterLab {found.versions.get('jupyterlab', '?')} on Python {found.version}")


def _certificate(patient: Patient) -> Iterable[Check]:
    pair = certificates.Pair(patient.layout.server)
    if not os.path.exists(pair.certificate):
        return
    left = _days_left(pair.certificate)
    if left is None:
        yield Check("certificate", FAIL, f"{pair.certificate} cannot be read", patient.set_up)
        return
    state = FAIL if left < _FEW_DAYS else WARN if left < _LITTLE_DAYS else OK
    remedy = f"Renew it: ansible-playbook hpc.jupyter.certificates -l {patient.name}"
    yield Check("certificate", state, f"good for {left} more days", "" if state == OK else remedy)


def _days_left(path: str) -> int | None:
    told = run.run(["openssl", "x509", "-in", path, "-noout", "-enddate"], timeout_seconds=30)
    try:
        return int((ssl.cert_time_to_seconds(told.out.strip().partition("=")[2]) - time.time()) // 86400)
    except ValueError:
        return None


def _route(patient: Patient) -> Iterable[Check]:
    records = [rec.read(patient.layout.session(name).record) for name in observing.names(patient.layout)]
    ready = [record for record in records if record is not None and record.state == rec.READY]
    if not ready:
        known = f"hpc_route is {patient.route}" + (f"; {patient.worked} worked last" if patient.worked else "")
        yield Check("route", OK, f"no session runs that could be tried ({known})")
    for record in ready:
        yield _ways(patient, record)


def _ways(patient: Patient, record: Record) -> Check:
    if patient.route == "local" or patient.scheduler.name == "none":
        return Check("route", OK, f"session {record.session} runs on this host")
    tried = {
        "node": _answers(record.node, 22) and bool(record.socket),
        "step": patient.scheduler.steps and bool(record.step_host_key),
        "lan": bool(record.port) and _answers(record.address or record.node, record.port),
        "reverse": bool(record.login_socket) and os.path.exists(record.login_socket),
    }
    good = [name for name, works in tried.items() if works]
    where = f"session {record.session} on {record.node}"
    if patient.route in good or (patient.route == "auto" and good):
        return Check("route", OK, f"{where} can be reached by {', '.join(good)}")
    if good:
        return Check("route", WARN, f"{where} can be reached by {', '.join(good)}, and hpc_route is {patient.route}",
                     f"Set hpc_route: {good[0]}, or leave it out")
    return Check("route", WARN, f"{where}: no way is open as it is offered now ({record.offer or 'socket'})",
                 f"hpc-jupyter connect {patient.name} has it offered another way; its option --explain shows each")


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
            return True
    except OSError:
        return False


def worst(checks: Iterable[Mapping[str, str]]) -> str:
    """``fail`` if one is, else ``warn`` if one is, else ``ok``."""
    states = {check["state"] for check in checks}
    return next((state for state in (FAIL, WARN) if state in states), OK)

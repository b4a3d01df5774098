# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate, doctor
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import run as run_module
from ansible_collections.hpc.jupyter.plugins.module_utils.doctor import FAIL, OK, WARN, Check, Patient
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import SchedulerUnavailable
from ansible_collections.hpc.jupyter.plugins.module_utils.files import make_private_directory
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources, build_resources
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm as slurm_module

QUOTA = """\
Disk quotas for user alice (uid 1000):
     Filesystem   space   quota   limit   grace   files   quota   limit   grace
nfs:/home       1000000  2000000 2097152       0  50000   99000  100000       0
/dev/other            1        0       0       0      1       0       0       0
/dev/full         2001*    1000    2000 1764000000  1       0       0       0
"""
ROOM = "Remove what is no longer needed there, or ask the site for a larger quota"
SET_UP = "Set the account up: hpc-jupyter setup alice@lab"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    tmp_path.chmod(0o700)
    (tmp_path / "root").mkdir(mode=0o700)
    return tmp_path


def patient(home: Path, **changes: Any) -> Patient:
    layout = Layout.at(str(home / "root"))
    scheduler = changes.pop("scheduler", by_name("none", root=layout.root))
    given: dict[str, Any] = {"name": "alice@lab", "layout": layout, "scheduler": scheduler, "resources": Resources()}
    return Patient(**{**given, "allow_root": True, **changes})


def found(who: Patient, name: str) -> list[Check]:
    return [check for check in doctor.examine(who) if check.name == name]


def test_a_new_account_is_well_but_not_set_up(home: Path) -> None:
    checks = doctor.examine(patient(home))
    assert [check.name for check in checks if check.state == FAIL] == []
    assert Check("jupyter", WARN, f"{home}/root is not set up", SET_UP) in checks
    assert Check("scheduler", OK, "there is none, as the facts say; sessions: 0") in checks
    assert os.listdir(str(home / "root")) == []


def test_a_home_that_others_can_write_to(home: Path) -> None:
    home.chmod(0o770)
    (home / "root").chmod(0o755)
    bad = [check for check in doctor.examine(patient(home)) if check.state == FAIL]
    assert bad == [
        Check("home", FAIL, f"{home} is open to others (mode 0770): sshd then lets no key in", f"chmod go-w {home}"),
        Check("directory", FAIL, f"{home}/root is open to others (mode 0755): others see what is there",
              f"chmod 700 {home}/root"),
    ]


class _Silent:
    name = "slurm"
    steps = True

    def sessions(self) -> list[Any]:
        raise SchedulerUnavailable("squeue did not answer within 30 seconds")


def test_a_scheduler_that_is_down_is_one_line(home: Path) -> None:
    [check] = found(patient(home, scheduler=_Silent()), "scheduler")
    assert (check.state, check.text) == (FAIL, "slurm does not answer: squeue did not answer within 30 seconds")
    assert check.remedy.startswith("Try again later, then ask the site.")


def test_what_the_facts_ask_for_and_nobody_grants(home: Path) -> None:
    [check] = found(patient(home, resources=build_resources({"partition": "gpu"})), "job")
    assert check.state == FAIL
    assert check.text == (
        "a session with partition gpu would be refused: partition: there is no scheduler here that knows it. "
        "Leave partition out on this cluster"
    )


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Result(0, "", "sbatch: Job 7 to start at 2026-01-01T00:00:00 using 1 processors\n"), ""),
        (Result(1, "", "sbatch: error: invalid partition specified: none\nallocation failure: Invalid partition\n"),
         "invalid partition specified: none; allocation failure: Invalid partition"),
    ],
)
def test_slurm_says_beforehand(monkeypatch: pytest.MonkeyPatch, result: Result, told: str) -> None:
    asked: list[list[str]] = []

    def run(argv: list[str], **_more: Any) -> Result:
        asked.append(argv)
        return result

    monkeypatch.setattr(slurm_module, "_run", run)
    assert by_name("slurm", root="/r").refusal(build_resources({"partition": "none"})) == told
    assert asked == [["sbatch", "--test-only", "--partition=none", "--wrap=true"]]


def test_slurm_that_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Result(1, "", "sbatch: error: Unable to contact slurm controller (connect failure)\n")
    monkeypatch.setattr(slurm_module, "_run", lambda *_args, **_more: gone)
    with pytest.raises(SchedulerUnavailable):
        by_name("slurm", root="/r").refusal(Resources())


class _Asked(_Silent):
    """A scheduler that answers, and says of a session what it is told to."""

    name = "pbs"

    def __init__(self, said: str | None, *, only_queue: bool = False) -> None:
        self._said = said
        self.only_queue = only_queue

    def sessions(self) -> list[Any]:
        return []

    def check(self, _resources: Resources) -> None:
        pass

    def refusal(self, _resources: Resources) -> str | None:
        if self._said == "lost":
            raise SchedulerUnavailable("qstat did not answer within 30 seconds")
        return self._said


@pytest.mark.parametrize(("scheduler", "partition", "state", "text"), [
    (_Asked(""), "gpu", OK, "a session with partition gpu would be taken"),
    (_Asked("", only_queue=True), "gpu", OK, "queue gpu takes jobs; what else pbs may refuse, it says at a launch"),
    (_Asked("", only_queue=True), "", OK,
     "there are queues that take jobs; what else pbs may refuse, it says at a launch"),
    (_Asked(None), "gpu", WARN, "pbs does not say beforehand whether it would take a session"),
    (_Asked("queue gpu takes no jobs", only_queue=True), "gpu", FAIL,
     "a session with partition gpu would be refused: queue gpu takes no jobs"),
    (_Asked("lost"), "gpu", FAIL,
     "it is not known whether a session with partition gpu would be taken: qstat did not answer within 30 seconds"),
])
def test_no_more_is_said_than_the_scheduler_says(
    home: Path, scheduler: _Asked, partition: str, state: str, text: str
) -> None:
    [check] = found(patient(home, scheduler=scheduler, resources=Resources(partition=partition)), "job")
    assert (check.state, check.text, bool(check.remedy)) == (state, text, state != OK)


@pytest.mark.parametrize(
    ("name", "left", "state", "text"),
    [
        ("disk", {"f_bavail": 99 << 8}, FAIL, "99 MB left in "),
        ("disk", {"f_bavail": 1 << 18}, WARN, "1024 MB left in "),
        ("disk", {"f_bavail": 1 << 19}, OK, "2048 MB left in "),
        ("inodes", {"f_favail": 999}, FAIL, "999 files left in "),
        ("inodes", {"f_favail": 29999}, WARN, "29999 files left in "),
        ("inodes", {"f_favail": 30000}, OK, "30000 files left in "),
    ],
)
def test_room(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, left: dict[str, int], state: str, text: str
) -> None:
    told = {"f_bavail": 1 << 30, "f_frsize": 4096, "f_files": 1 << 20, "f_favail": 1 << 20}
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(**{**told, **left}))
    assert found(patient(home), name) == [Check(name, state, f"{text}{home}", "" if state == OK else ROOM)]


def test_a_file_system_that_makes_inodes_as_they_are_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(f_bavail=1 << 30, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _path: told)
    assert found(patient(home), "inodes") == []


def test_quota(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "run", lambda *_args, **_more: Result(0, QUOTA, ""))
    assert found(patient(home), "quota") == [
        Check("quota", WARN, "1071 MB left in the quota on nfs:/home", ROOM),
        Check("quota", OK, "50000 files left in the quota on nfs:/home"),
        Check("quota", FAIL, "0 MB left in the quota on /dev/full", ROOM),
    ]


def test_a_home_that_takes_no_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_more: Any) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert found(patient(home), "home")[0] == Check(
        "home", FAIL, f"a file of 4 KiB could not be written in {home}/root: Disk quota exceeded. "
        "Is the disk or the quota full?", "Make room, or move the account's directory with hpc_root",
    )


@pytest.mark.parametrize(("days", "state"), [(2, FAIL), (3, WARN), (30, WARN), (31, OK)])
def test_the_days_of_a_certificate(home: Path, days: int, state: str) -> None:
    who = patient(home)
    assert found(who, "certificate") == []
    make_private_directory(who.layout.server)
    certificate.make(certificate.Pair(who.layout.server), days=days)
    renew = "" if state == OK else "Renew it: ansible-playbook hpc.jupyter.certificates -l alice@lab"
    assert found(who, "certificate") == [Check("certificate", state, f"good for {days - 1} more days", renew)]


def test_a_certificate_that_is_none(home: Path) -> None:
    who = patient(home)
    make_private_directory(who.layout.server)
    cert = Path(certificate.Pair(who.layout.server).certificate)
    cert.write_text("-----BEGIN CERTIFICATE-----\n")
    assert found(who, "certificate") == [Check("certificate", FAIL, f"{cert} cannot be read", SET_UP)]


def test_an_environment_and_what_breaks_it(home: Path) -> None:
    script, packages = home / "root/environment.sh", home / "packages"
    script.write_text(f"export HPC_JUPYTER_PYTHON={sys.executable} PYTHONPATH={packages}\n")
    (packages / "jupyterlab-4.9.9.dist-info").mkdir(parents=True)
    (packages / "jupyterlab-4.9.9.dist-info/METADATA").write_text("Name: jupyterlab\nVersion: 4.9.9\n")
    for name in ("jupyterlab", "jupyter_server", "ipykernel"):
        (packages / f"{name}.py").touch()
    python = sys.version.split()[0]
    assert found(patient(home), "jupyter") == [Check("jupyter", OK, f"JupyterLab 4.9.9 on Python {python}")]
    (packages / "ipykernel.py").write_text("import no_such_module\n")
    assert found(patient(home), "jupyter") == [Check(
        "jupyter", FAIL,
        "ipykernel cannot be imported (ModuleNotFoundError: No module named 'no_such_module')", SET_UP,
    )]
    script.write_text("printf 'hpc-jupyter: the module lab cannot be loaded on here\\n' >&2\nexit 1\n")
    [check] = found(patient(home), "jupyter")
    assert (check.state, check.text) == (FAIL, "the module lab cannot be loaded on here")


def test_no_session_to_try(home: Path) -> None:
    [check] = found(patient(home, route="auto", worked="lan"), "route")
    assert check == Check("route", OK, "no session runs that could be tried (hpc_route is auto; lan worked last)")


SOCKET = {"socket": "/tmp/s", "step_host_key": "key"}


@pytest.mark.parametrize(
    ("route", "offered", "answer", "state", "text"),
    [
        ("auto", SOCKET, ("c1", 22), OK, " can be reached by node, step"),
        ("node", SOCKET, ("c1", 22), OK, " can be reached by node, step"),
        ("auto", SOCKET, (), OK, " can be reached by step"),
        ("step", SOCKET, (), OK, " can be reached by step"),
        ("lan", SOCKET, (), WARN, " can be reached by step, and hpc_route is lan"),
        ("auto", {"port": 4711, "address": "10.0.0.7"}, ("10.0.0.7", 4711), OK, " can be reached by lan"),
        ("auto", {"port": 4711, "offer": "lan"}, ("c1", 4711), OK, " can be reached by lan"),
        ("auto", {"login_socket": "/"}, (), OK, " can be reached by reverse"),
        ("auto", {"login_socket": "/gone", "offer": "reverse"}, (), WARN,
         ": no way is open as it is offered now (reverse)"),
        ("node", {"socket": "/tmp/s"}, (), WARN, ": no way is open as it is offered now (socket)"),
    ],
)
def test_the_routes_to_a_session(
    home: Path, monkeypatch: pytest.MonkeyPatch, route: str, offered: dict[str, Any], answer: tuple[str, int],
    state: str, text: str,
) -> None:
    monkeypatch.setattr(doctor, "_answers", lambda *asked: asked == answer)
    who = patient(home, scheduler=_Asked(""), route=route)
    files = who.layout.session("default")
    Path(files.path).mkdir(parents=True)
    known = rec.Record(
        session="default", generation=1, account="alice@lab", cluster="lab", scheduler="slurm", state=rec.READY,
        node="c1", **offered,
    )
    Path(files.record).write_text(json.dumps(vars(known)))
    [check] = found(who, "route")
    assert (check.state, check.text, bool(check.remedy)) == (state, f"session default on c1{text}", state == WARN)


def test_the_worst_counts() -> None:
    checks = [Check("a", OK, "").to_dict(), Check("b", WARN, "").to_dict()]
    assert doctor.worst(checks) == WARN
    assert doctor.worst([*checks, Check("c", FAIL, "").to_dict()]) == FAIL
    assert doctor.worst([]) == OK

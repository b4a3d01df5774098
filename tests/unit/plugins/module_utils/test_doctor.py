# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import doctor
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils import run as run_module
from ansible_collections.hpc.jupyter.plugins.module_utils.doctor import FAIL, OK, WARN, Check, Patient
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import SchedulerUnavailable
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
"""


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
    remedy = "Set the account up: hpc-jupyter setup alice@lab"
    assert Check("jupyter", WARN, f"{home}/root is not set up", remedy) in checks
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


@pytest.mark.parametrize(("left", "state"), [(50 << 20, FAIL), (1 << 30, WARN), (8 << 30, OK)])
def test_room(home: Path, monkeypatch: pytest.MonkeyPatch, left: int, state: str) -> None:
    told = SimpleNamespace(f_bavail=left // 4096, f_frsize=4096, f_files=0, f_favail=0)
    monkeypatch.setattr(os, "statvfs", lambda _path: told)
    [check] = found(patient(home), "disk")
    assert (check.state, check.text) == (state, f"{left >> 20} MB left in {home}")


def test_quota(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "run", lambda *_args, **_more: Result(0, QUOTA, ""))
    assert [(check.state, check.text) for check in found(patient(home), "quota")] == [
        (WARN, "1071 MB left in the quota on nfs:/home"), (OK, "50000 files left in the quota on nfs:/home"),
    ]


def test_an_environment_that_is_broken(home: Path) -> None:
    script = home / "root/environment.sh"
    script.write_text(f"export HPC_JUPYTER_PYTHON={sys.executable}\n")
    [check] = found(patient(home), "jupyter")
    assert check.state in (OK, FAIL)  # as this Python has JupyterLab or not
    script.write_text("printf 'hpc-jupyter: the module lab cannot be loaded on here\\n' >&2\nexit 1\n")
    [check] = found(patient(home), "jupyter")
    assert (check.state, check.text) == (FAIL, "the module lab cannot be loaded on here")


def test_no_session_to_try(home: Path) -> None:
    [check] = found(patient(home, route="auto", worked="lan"), "route")
    assert check == Check("route", OK, "no session runs that could be tried (hpc_route is auto; lan worked last)")


class _Stepping(_Silent):
    def sessions(self) -> list[Any]:
        return []

    def refusal(self, _resources: Resources) -> str:
        return ""

    def check(self, _resources: Resources) -> None:
        pass


@pytest.mark.parametrize(
    ("route", "state", "text"),
    [
        ("auto", OK, "session default on 127.0.0.9 can be reached by step"),
        ("step", OK, "session default on 127.0.0.9 can be reached by step"),
        ("lan", WARN, "session default on 127.0.0.9 can be reached by step, and hpc_route is lan"),
    ],
)
def test_the_routes_to_a_session(home: Path, route: str, state: str, text: str) -> None:
    who = patient(home, scheduler=_Stepping(), route=route)
    files = who.layout.session("default")
    Path(files.path).mkdir(parents=True)
    known = rec.Record(
        session="default", generation=1, account="alice@lab", cluster="lab", scheduler="slurm", state=rec.READY,
        node="127.0.0.9", socket="/tmp/s", step_host_key="key",
    )
    Path(files.record).write_text(json.dumps(vars(known)))
    [check] = found(who, "route")
    assert (check.state, check.text) == (state, text)


def test_the_worst_counts() -> None:
    checks = [Check("a", OK, "").to_dict(), Check("b", WARN, "").to_dict()]
    assert doctor.worst(checks) == WARN
    assert doctor.worst([*checks, Check("c", FAIL, "").to_dict()]) == FAIL
    assert doctor.worst([]) == OK

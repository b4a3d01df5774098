"""A launch or a stop that is killed at any of its steps is made good by the next: one job, one record, nothing left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec

from tests.faults import TINY
from tests.session_site import Site, processes_of, wait_for
from tests.wheelhouse import ROOT


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Path(sys.executable))
    tiny = made.home / "tiny"
    tiny.write_text(TINY)
    tiny.chmod(0o755)
    Path(made.layout.environment_script).write_text(f"export HPC_JUPYTER_PYTHON={tiny}\n")
    yield made
    made.close()


@pytest.mark.rows("F35", "F48")
@pytest.mark.parametrize(("verb", "least_steps"), [("start", 30), ("stop", 6)])
def test_a_command_that_is_killed_at_any_step_is_made_good_by_the_next(site: Site, verb: str, least_steps: int) -> None:
    argv = [sys.executable, "-m", "tests.crashing", site.layout.root, verb]
    path = f"{ROOT}:{ROOT / '.build'}"
    walked = subprocess.run(
        argv, cwd=ROOT, env=site.environment({"PYTHONPATH": path}), stdout=subprocess.PIPE, timeout=280, check=True
    )
    told = json.loads(walked.stdout)
    assert told["problems"] == []
    assert told["steps"] >= least_steps


SKEWED = """
import time
_now = time.time
time.time = lambda: _now() + {seconds}
"""
BLIND = """
import builtins
_open, unseen = builtins.open, [1, 2, 3, 4]
def blind(path, *arguments, **options):
    if str(path).endswith("/record.json") and unseen and unseen.pop():
        raise FileNotFoundError(2, "not seen yet", path)
    return _open(path, *arguments, **options)
builtins.open = blind
"""


def _python(site: Site, program: str) -> dict[str, str]:
    """The environment in which the account's Python runs ``program`` first."""
    place = site.home / "python"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(program)
    return {"PYTHONPATH": str(place)}


def _ready(site: Site, **env: str) -> rec.Record:
    started = site.command("start", "--time", "0:30:00", prefix=[], **env)
    assert started.returncode == 0, started
    return site.ready()


def _jobs(site: Site) -> list[int]:
    return [each.pid for each in processes_of(f"supervise {site.files().path} ")]


@pytest.mark.rows("F17")
def test_the_record_of_a_job_that_is_gone_is_not_believed(site: Site) -> None:
    stale = _ready(site)
    assert site.command("stop", prefix=[]).returncode == 0
    rec.write(site.files().record, replace(stale, generation=stale.generation + 5))
    [told] = json.loads(site.command("status", "--json", prefix=[]).stdout)
    assert (told["state"], told["how"]) == ("ended", "lost")
    assert site.command("url", prefix=[]).returncode == 4
    again = _ready(site)
    assert again.generation == stale.generation + 6
    assert site.command("stop", prefix=[]).returncode == 0


@pytest.mark.rows("F40")
def test_a_session_that_logging_out_has_ended_is_told_as_over_with_what_the_site_has_to_allow(site: Site) -> None:
    """Without systemd's login manager here, all of the session's processes are killed at once, as that one does."""
    _ready(site)
    [job] = _jobs(site)
    for pid in [job, *children.descendants(job)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    [told] = json.loads(site.command("status", "--json", prefix=[]).stdout)
    assert (told["state"], told["how"]) == ("ended", "lost")
    assert told["reason"] == (
        "its processes are gone, as after a restart of the host, or where logging out ends everything: there, "
        "loginctl enable-linger has to be allowed and run once"
    )


@pytest.mark.rows("F18", "B60")
@pytest.mark.parametrize("content", [b"", b'{"schema": 1, "sess', None])
def test_a_record_that_is_torn_or_not_seen_yet_makes_no_second_job(site: Site, content: bytes | None) -> None:
    before = _ready(site)
    [job] = _jobs(site)
    if content is None:
        seen = site.command("start", "--wait", "0", prefix=[], **_python(site, BLIND))
    else:
        Path(site.files().record).write_bytes(content)
        seen = site.command("start", "--wait", "0", prefix=[])
    assert seen.returncode in (0, 6), seen
    assert _jobs(site) == [job]
    wait_for(lambda: site.record() == before)
    assert site.command("stop", prefix=[]).returncode == 0
    assert _jobs(site) == []


@pytest.mark.rows("F37")
@pytest.mark.parametrize("seconds", [600, -600])
def test_a_clock_that_is_ten_minutes_off_decides_nothing(site: Site, seconds: int) -> None:
    skewed = _python(site, SKEWED.format(seconds=seconds))
    record = _ready(site, **skewed)
    assert site.command("start", prefix=[]).stdout.startswith("found: ")
    assert site.command("start", prefix=[], **skewed).stdout.startswith("found: ")
    # The submit of a generation that nobody knows the job of: the wait for it is by the file system's clock.
    rec.write(site.files().record, replace(record, state=rec.INTENDED, job_id=""))
    assert site.command("start", "--wait", "0", prefix=[], **skewed).returncode in (0, 6)
    assert len(_jobs(site)) == 1
    assert site.command("stop", prefix=[], **skewed).returncode == 0
    assert (site.record().how, _jobs(site)) == ("stopped", [])


@pytest.mark.rows("B50")
@pytest.mark.parametrize("job", ["12_3", "12+1"])
def test_a_part_of_a_job_is_no_job_to_run_in(site: Site, job: str) -> None:
    refused = site.command("start", "--job", job, prefix=[])
    words = "Write the number of a job of yours, as squeue shows it"
    assert (refused.returncode, refused.stderr) == (2, f"hpc-session: job: {job!r} is not allowed. {words}\n")
    assert not Path(site.files().path).exists()


@pytest.mark.rows("F5")
def test_a_job_that_comes_too_late_steps_back_and_leaves_the_record_alone(site: Site) -> None:
    first = _ready(site)
    assert site.command("stop", prefix=[]).returncode == 0
    record = _ready(site)
    for generation in (first.generation, record.generation):
        assert site.ended(site.job(generation=generation, prefix=[])) == 0
    assert site.log().splitlines()[-2:] == [
        f"the session is at generation {record.generation}: this job, for {first.generation}, steps back",
        f"job {record.job_id} already runs this session: job {site.running[-1].pid}.default@{socket.gethostname()} "
        "steps back",
    ]
    assert site.record() == record
    assert site.command("stop", prefix=[]).returncode == 0

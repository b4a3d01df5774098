"""Onboarding as AWX does it: ansible-runner sends the work off, does it elsewhere, and takes the results back."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import awx
from tests.jupyter_env import jupyter_python
from tests.machine import ROOT

NAME = "me@local"
PASSWORD = "canary-Vx3-orse battery"
FROM_SURVEY = {
    "jupyter_environment_kind": "existing", "jupyter_server_password": PASSWORD, "jupyter_access_names": "false",
    "jupyter_server_certificate_days": 200, "jupyter_session_idle_limit_seconds": "7200",
    "jupyter_environment_purge": "false", "jupyter_environment_prologue": "true\n: later\n",
    "jupyter_environment_modules": "dot\nuse.own", "jupyter_environment_packages": "",
    "jupyter_environment_debugger": "false", "jupyter_access_public_keys": "", "jupyter_access_gateways": "false",
    "jupyter_access_all": "false", "jupyter_server_tls": "auto",
}  # fmt: skip
"""As a survey gives them: text, save for an integer; a text area has lines, and what nobody answered is empty."""
IN_YAML = {
    **FROM_SURVEY, "jupyter_access_names": False, "jupyter_server_certificate_days": "200",
    "jupyter_session_idle_limit_seconds": 7200, "jupyter_environment_purge": False,
    "jupyter_environment_modules": ["dot", "use.own"], "jupyter_environment_packages": [],
    "jupyter_environment_debugger": False, "jupyter_access_public_keys": [], "jupyter_access_gateways": False,
    "jupyter_access_all": False,
}  # fmt: skip
"""The same as somebody writes them into an inventory."""
OF_OUR_OWN = {
    "jupyter_environment_kind": "venv", "jupyter_environment_path": "", "jupyter_access_names": "false",
    "jupyter_environment_packages": "numpy\nscipy>=1.11,<2", "jupyter_environment_offline": "never",
}  # fmt: skip
"""A text area of packages, and a place that nobody has named."""


@dataclass(frozen=True)
class Job:
    """What came of one job: the account's home afterwards, what was streamed back, and what was kept of it."""

    account: dict[str, Any]
    stream: bytes
    kept: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """What Ansible told, in order."""
        told = [json.loads(line) for line in self.stream.splitlines() if line.startswith(b'{"uuid"')]
        return [event for event in told if "event" in event]

    @property
    def out(self) -> str:
        """What Ansible printed."""
        return "\n".join(event.get("stdout", "") for event in self.events)

    @property
    def stats(self) -> dict[str, Any]:
        """The last event's."""
        [stats] = [event["event_data"] for event in self.events if event["event"] == "playbook_on_stats"]
        return dict(stats)


@dataclass(frozen=True)
class Awx:
    """A machine that sends jobs, and one that does them, with a home of its own."""

    place: Path

    @property
    def root(self) -> Path:
        """The account's directory."""
        return self.place / "home/.local/share/hpc-jupyter/local"

    def job(self, name: str, playbook: str, variables: Mapping[str, object], *, options: str = "") -> Job:
        """Run a playbook of the collection by its name."""
        private = self._write(name, variables)
        given = ["--cmdline", options] if options else []
        sent = self._runner("transmit", str(private), "-p", playbook, *given, fed=b"")
        back = self._runner("worker", fed=sent)
        taken = self.place / f"{name}-taken"
        self._runner("process", str(taken), fed=back)
        account = json.loads((self.root / "account.json").read_text())
        return Job(account, back, taken)

    def _write(self, name: str, variables: Mapping[str, object]) -> Path:
        private = self.place / name
        for directory in ("env", "inventory", "project"):
            (private / directory).mkdir(parents=True)
        facts = {"ansible_connection": "local", "hpc_scheduler": "none", "hpc_route": "local"}
        (private / "inventory/hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {NAME: facts}}}))
        given = private / "env/extravars"
        given.write_text(awx.extravars(variables))
        given.chmod(0o400)  # a password that others can read is refused
        return private

    def _runner(self, verb: str, *arguments: str, fed: bytes) -> bytes:
        programs = Path(sys.executable).parent
        environ = {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.place / "home"), "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build"), "TMPDIR": str(self.place / "tmp"),
        }  # fmt: skip
        argv = [str(programs / "ansible-runner"), verb, *arguments]
        done = subprocess.run(argv, input=fed, env=environ, capture_output=True, check=False, timeout=250)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(name="nodes", scope="module")
def _nodes(tmp_path_factory: pytest.TempPathFactory) -> Awx:
    place = tmp_path_factory.mktemp("awx")
    for directory in ("home", "tmp"):
        (place / directory).mkdir()
    return Awx(place)


@pytest.fixture(name="jobs", scope="module")
def _jobs(nodes: Awx) -> tuple[Job, Job]:
    existing = {"jupyter_environment_path": str(jupyter_python().parent.parent)}
    first = nodes.job("first", "hpc.jupyter.onboard", {**FROM_SURVEY, **existing})
    return first, nodes.job("second", "hpc.jupyter.onboard", {**IN_YAML, **existing})


def test_a_job_sets_the_account_up(jobs: tuple[Job, Job], nodes: Awx) -> None:
    first, _second = jobs
    assert (first.stats["failures"], first.stats["dark"]) == ({}, {})
    assert first.account["account"] == NAME
    assert (first.account["idle_limit_seconds"], first.account["tls"]) == ("0", "auto")
    script = (nodes.root / "environment.sh").read_text()
    assert re.findall(r"^module load (\S+)", script, re.M) == ["dot", "use.own"]
    assert f"{NAME}  done  in {nodes.root}" in first.out


def test_the_next_job_changes_nothing_with_numbers_for_what_was_text(jobs: tuple[Job, Job]) -> None:
    _first, second = jobs
    assert second.stats["changed"] == {}
    assert f"{NAME}  already done" in second.out


def test_a_plan_has_an_item_for_each_line_and_our_own_place_where_nobody_named_one(
    jobs: tuple[Job, Job], nodes: Awx
) -> None:
    del jobs
    plan = nodes.job("plan", "hpc.jupyter.onboard", OF_OUR_OWN, options="--check --diff")
    assert plan.stats["failures"] == {}
    assert "+packages: numpy, scipy>=1.11,<2" in plan.out
    assert f"+++ after: {nodes.root}/venv\r\n" in plan.out
    assert not (nodes.root / "venv").exists()


def test_no_secret_comes_back_or_is_kept(jobs: tuple[Job, Job], nodes: Awx) -> None:
    for job in jobs:
        texts = [job.stream, *_zipped(job.stream), *_files(job.kept)]
        assert len(texts) > 10
        assert not [text for text in texts if PASSWORD.encode() in text]
    assert not [text for text in _files(nodes.place / "tmp") if PASSWORD.encode() in text]


def _files(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.rglob("*") if path.is_file()]


def _zipped(stream: bytes) -> Iterator[bytes]:
    """What is in the archive of artifacts, the line after the one that announces it."""
    archive = stream.partition(b'{"zipfile"')[2].splitlines()[1].partition(b"{")[0]
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive))) as opened:
        yield from (opened.read(name) for name in opened.namelist())

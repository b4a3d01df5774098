"""The test run itself: a part that hangs is ended with what it started, and nothing that fails is counted as passed."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import machine, rows, run

JUNIT = '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/></testsuites>'


@pytest.fixture(autouse=True)
def _output(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "OUTPUT", tmp_path)


def _part(code: str, *, seconds: int = 30) -> run.Part:
    return run.Part("part", (sys.executable, "-c", code), seconds)


@pytest.mark.parametrize(
    ("code", "trouble", "passed", "failed"),
    [("", "", 1, 0), ("raise SystemExit(3)", "exit code 3", 0, 1), ("import os; os.abort()", "exit code -6", 0, 1)],
)
def test_a_part_without_a_report_counts_as_one(code: str, trouble: str, passed: int, failed: int) -> None:
    outcome = run.run_part(_part(code), threading.Event())
    assert (outcome.trouble, outcome.passed, outcome.failed) == (trouble, passed, failed)


def test_the_tests_of_a_report_are_counted(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'part.xml')!r}, 'w').write({JUNIT!r})"
    outcome = run.run_part(_part(code), threading.Event())
    assert (outcome.passed, outcome.failed, outcome.skipped) == (2, 2, 1)


def test_a_part_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 1)
    child = "import time; time.sleep(60)"
    code = (
        "import pathlib, signal, subprocess, sys, time; "
        "[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)]; "
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}]); "
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    outcome = run.run_part(_part(code, seconds=2), threading.Event())
    assert outcome.trouble == "not done after 2 seconds"
    time.sleep(0.2)
    state = Path("/proc", (tmp_path / "child").read_text(), "stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["lint", "lnit"]) == 2
    assert capsys.readouterr().out.startswith("no such part: lnit. There are: lab, ")


@pytest.mark.parametrize(("names", "is_run"), [([], False), (["chaos", "scale"], True), (["lint"], False)])
def test_what_takes_hours_runs_only_when_it_is_named(
    monkeypatch: pytest.MonkeyPatch, names: list[str], is_run: bool
) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(machine, "make_ready", lambda **_: "")

    def run_all(parts: Sequence[run.Part]) -> list[run.Outcome]:
        chosen.extend(part.name for part in parts)
        return []

    monkeypatch.setattr(run, "_run_all", run_all)
    monkeypatch.setattr(rows, "main", lambda: 0)
    assert run.main(names) == 0
    assert [name in chosen for name in ("chaos", "scale")] == [is_run, is_run]

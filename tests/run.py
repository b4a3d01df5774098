"""Run every part of the tests, some side by side, and say what passed, what failed and how long it took.

usage: python -m tests.run [PART]...   (all parts but chaos and scale unless some are named; LAB=skip leaves out
those that need root)

Each part's output is in .build/test-output/PART.log. A part past its deadline is ended with everything it started in
its process group. The last line counts tests: those of pytest one by one, every other part as one. Before it comes
the table of docs/reliability.md, after chaos, and after all parts where chaos has left a report.
"""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import figures, machine, rows

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / ".build" / "test-output"
SIDE_BY_SIDE = 4
TAIL_LINES = 60
PATIENCE_SECONDS = 30
"""How long a part may take to clean up once it was told to end."""


@dataclass(frozen=True)
class Part:
    """One part of the tests: a command that exits 0 when all is well, within ``seconds``; run if named, if ``long``."""

    name: str
    argv: tuple[str, ...]
    seconds: int
    root: bool = False
    long: bool = False

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return OUTPUT / f"{self.name}.log"

    @property
    def report(self) -> Path | None:
        """Where it says how each test ended; None for a part that is one test."""
        return OUTPUT / f"{self.name}.xml" if "pytest" in self.argv else None


@dataclass(frozen=True)
class Outcome:
    """How a part ended, and the tests that it counted itself."""

    part: Part
    trouble: str
    seconds: float
    passed: int
    failed: int
    skipped: int


def _pytest(name: str, *, seconds: int, root: bool = False, long: bool = False) -> Part:
    argv = (sys.executable, "-m", "pytest", f"--junit-xml=.build/test-output/{name}.xml", "--durations=10")
    return Part(name, (*argv, f"tests/{name}"), seconds, root, long)


def _module(name: str, module: str, *arguments: str, seconds: int) -> Part:
    return Part(name, (sys.executable, "-m", f"tests.{module}", *arguments), seconds)


# The deadlines are for slow machines: on two idle cores each part takes less than half of its own.
# The longest first, so that none is left alone at the end.
PARTS = (
    _pytest("lab", seconds=3000, root=True),
    _pytest("cli", seconds=2400),
    _pytest("playbooks", seconds=3000),
    _pytest("sites", seconds=2700, root=True),
    _module("units", "ansible_test", "units", seconds=1200),
    _module("sanity", "ansible_test", "sanity", seconds=1200),
    _pytest("browser", seconds=900, root=True),
    _module("lint", "lint", seconds=900),
    _pytest("package", seconds=900),
    _pytest("properties", seconds=600),
    _pytest("chaos", seconds=4 * 3600, root=True, long=True),
    _pytest("scale", seconds=4 * 3600, root=True, long=True),
)


def main(names: Sequence[str]) -> int:
    """Run the parts called ``names``, or all but the long ones; 0 when every one passed."""
    machine.end_in_order()
    _end_with_the_terminal()
    unknown = sorted(set(names) - {part.name for part in PARTS})
    if unknown:
        print(f"no such part: {', '.join(unknown)}. There are: {', '.join(part.name for part in PARTS)}")
        return 2
    chosen = [part for part in PARTS if part.name in names or not (names or part.long)]
    skipped = [part for part in chosen if part.root and os.environ.get("LAB") == "skip"]
    chosen = [part for part in chosen if part not in skipped]
    refusal = machine.make_ready(root_needed=[part.name for part in chosen if part.root])
    if refusal:
        print(refusal)
        return 2
    outcomes = list(_run_all(chosen))
    if any(part.long for part in chosen):
        print(figures.table())
    if "chaos" in names or (not names and _reports_are_complete()):
        rows.main()
    return _report(outcomes, skipped)


def _end_with_the_terminal() -> None:
    """Parts are in sessions of their own, and would go on. Under nohup they are to, but not deaf to SIGHUP themselves:
    by it an ssh ends the one that it goes through.
    """
    is_to_go_on = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    signal.signal(signal.SIGHUP, (lambda *_: None) if is_to_go_on else signal.default_int_handler)


def _reports_are_complete() -> bool:
    return all(part.report.exists() for part in PARTS if part.report and part.name != "scale")


def _run_all(parts: Sequence[Part]) -> Iterator[Outcome]:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        running = [pool.submit(run_part, part, stop) for part in parts]
        try:
            for future in concurrent.futures.as_completed(running):
                outcome = future.result()
                _say(outcome)
                yield outcome
        except BaseException:
            stop.set()
            for future in running:
                future.cancel()
            raise


def run_part(part: Part, stop: threading.Event) -> Outcome:
    """Run one part to its end, its deadline, or until ``stop``."""
    for old in OUTPUT.glob(f"{part.name}*.xml"):
        old.unlink()
    began = time.monotonic()
    with part.log.open("wb") as log:
        process = subprocess.Popen(
            part.argv, cwd=ROOT, env=machine.environment(), stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        trouble = _watch(process, deadline=began + part.seconds, stop=stop)
    trouble = trouble.format(seconds=part.seconds)
    passed, failed, skipped = _counts(part.name)
    if not passed + failed:
        passed, failed = (0, 1) if trouble else (1, 0)
    return Outcome(part, trouble, time.monotonic() - began, passed, failed, skipped)


def _watch(process: subprocess.Popen[bytes], *, deadline: float, stop: threading.Event) -> str:
    while time.monotonic() < deadline and not stop.is_set():
        try:
            code = process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
        return f"exit code {code}" if code else ""
    # on SIGINT pytest still tears its fixtures down, the lab among them
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=PATIENCE_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    return "interrupted" if stop.is_set() else "not done after {seconds} seconds"


def _counts(name: str) -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for path in OUTPUT.glob(f"{name}*.xml"):
        for suite in ET.parse(path).iter("testsuite"):  # noqa: S314 - pytest wrote it just now
            tests, bad, left_out = (
                int(suite.get(key, 0)) for key in ("tests", "failures", "skipped")
            )
            bad += int(suite.get("errors", 0))
            passed, failed, skipped = passed + tests - bad - left_out, failed + bad, skipped + left_out
    return passed, failed, skipped


def _say(outcome: Outcome) -> None:
    part = outcome.part
    print(f"{part.name:<10} {'FAILED' if outcome.trouble else 'ok':<6} {outcome.seconds:6.0f} s", flush=True)
    if outcome.trouble:
        lines = part.log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]))
        print(f"    {part.name}: {outcome.trouble}; all of it in {part.log.relative_to(ROOT)}", flush=True)


def _report(outcomes: Sequence[Outcome], not_run: Sequence[Part]) -> int:
    bad = [outcome.part.name for outcome in outcomes if outcome.trouble]
    if not_run:
        print(f"NOT TESTED, since LAB=skip: {', '.join(part.name for part in not_run)}")
    if bad:
        print(f"failed: {', '.join(bad)}")
    passed, failed, skipped = (
        sum(getattr(outcome, key) for outcome in outcomes) for key in ("passed", "failed", "skipped")
    )
    print(f"{passed} passed, {max(failed, len(bad))} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    started = time.monotonic()
    try:
        exit_code = main(sys.argv[1:])
    except KeyboardInterrupt:
        print("interrupted")
        exit_code = 130
    sys.exit(exit_code)

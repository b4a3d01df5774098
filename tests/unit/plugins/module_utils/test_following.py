# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import command, following, verbs
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout

_NONCE = "abcdefgh12345678"
_FACTS = {"schema": 1, "account": "alice@lab", "cluster": "lab", "scheduler": "none", "version": "0.1.0"}
_STARTING = rec.Record("default", "lab", "alice@lab", "none", generation=1, state=rec.STARTING, node="c1")
_TOLD = replace(_STARTING, offer="socket", socket="/tmp/hpcj-x/s")
_READY = replace(_TOLD, state=rec.READY, started_at="2026-01-01T00:00:00Z")
_PROGRAM = """import sys
from ansible_collections.hpc.jupyter.plugins.module_utils.entry import main
sys.argv[0] = sys.argv.pop(1)
sys.exit(main())
"""
_DEADLINE_SECONDS = 60.0


class _Session:
    """An account directory, and the command in it that follows its session."""

    def __init__(self, root: Path) -> None:
        self.files = Layout(str(root)).session("default")
        self._root = root
        os.makedirs(self.files.path)
        (root / "account.json").write_text(json.dumps(_FACTS))
        (root / "hpc-session").touch()

    def write(self, record: rec.Record) -> None:
        """The record, and before it the token."""
        Path(self.files.token).write_text("t0ken")
        rec.write(self.files.record, record)

    @contextlib.contextmanager
    def followed(self, seconds: float = _DEADLINE_SECONDS) -> Iterator[subprocess.Popen[bytes]]:
        """The command, as over ssh: with pipes for its input and output."""
        argv = [sys.executable, "-c", _PROGRAM, str(self._root / "hpc-session"), "attach", "--nonce", _NONCE]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [*argv, "--follow", str(seconds)], env=environment, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture(name="session")
def _session(tmp_path: Path) -> _Session:
    return _Session(tmp_path / "root")


def _told(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next answer, without the empty line before it."""
    assert process.stdout is not None
    lines = []
    for _each in range(2):
        assert select.select([process.stdout], [], [], _DEADLINE_SECONDS)[0], "nothing was told"
        lines.append(process.stdout.readline().decode())
    assert lines[0] == "\n"
    assert lines[1].startswith(f"{_NONCE} "), lines
    told: dict[str, Any] = json.loads(lines[1][len(_NONCE) :])
    return told


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """The exit code, and what else was said, once it has ended by itself."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.wait(_DEADLINE_SECONDS), process.stdout.read(), process.stderr.read()


def test_a_session_is_followed_from_none_at_all_until_it_is_ready(session: _Session) -> None:
    with session.followed() as process:
        assert _told(process) == {
            "error": "there is no session default of alice@lab", "version": "0.1.0", "code": 4,
            "host": os.uname().nodename, "pinned": None,
        }
        session.write(_STARTING)
        for record in (_TOLD, _READY):
            session.write(record)
            told = _told(process)
            assert told == {"record": asdict(record), "token": "t0ken", "host": os.uname().nodename, "version": "0.1.0"}
        assert _ended(process) == (0, b"", b"")


@pytest.mark.parametrize("last", [b"", b"x"])
def test_nothing_is_left_of_it_when_its_input_ends_or_says_anything(session: _Session, last: bytes) -> None:
    with session.followed() as process:
        assert _told(process)["code"] == 4
        assert process.stdin is not None
        process.stdin.write(last)
        if not last:
            process.stdin.close()
        assert _ended(process) == (4, b"", b"")


def test_it_ends_after_its_time(session: _Session) -> None:
    session.write(_STARTING)
    with session.followed(0.2) as process:
        assert _told(process)["token"] == ""
        assert _ended(process) == (0, b"", b"")


def test_it_ends_without_a_word_when_nobody_reads_any_more(session: _Session) -> None:
    with session.followed() as process:
        assert _told(process)["code"] == 4
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        session.write(_TOLD)
        assert (process.wait(_DEADLINE_SECONDS), process.stderr.read()) == (0, b"")


@pytest.fixture(name="here")
def _here(session: _Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Session:
    """The command is called in this process, which has no input: it looks no second time."""
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "root" / "hpc-session")])
    monkeypatch.setattr(following, "_is_left", lambda: True)
    return session


def _followed_here(seconds: str = "5") -> int:
    return command.main(["attach", "--nonce", _NONCE, "--follow", seconds])


def _said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out.split(" ", 1)[1])
    return told


def test_one_that_can_be_connected_to_is_not_followed(
    here: _Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_stay", lambda *_given, **_named: pytest.fail("it was followed"))
    here.write(_READY)
    assert (_followed_here(), _said(capsys)["token"]) == (0, "t0ken")


def test_an_account_that_is_not_set_up_is_not_followed(
    here: _Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "root" / "account.json").unlink()
    assert _followed_here() == 1
    said = _said(capsys)
    assert ("is missing: set the account up" in said["error"], said["code"]) == (True, 1)


@pytest.mark.parametrize("seconds", ["86401", "nan", "-1"])
def test_a_bad_time_is_refused(here: _Session, capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    assert _followed_here(seconds) == 2
    words = f"hpc-session: follow: {float(seconds)} is not allowed. Use 0 to 86400 seconds\n"
    assert capsys.readouterr() == ("", words)


def test_a_dead_job_s_record_is_not_told_as_ready_whatever_is_written_into_it(here: _Session) -> None:
    here.write(_READY)
    followed = following.Followed(verbs.account_here(), "default")
    assert followed.news() is None
    here.write(replace(_READY, idle_since="2026-01-02T00:00:00Z"))
    assert followed.news() is None
    for again in (replace(_READY, restarts=1), replace(_READY, started_at="2026-01-02T00:00:00Z"),
                  replace(_READY, generation=2)):
        here.write(again)
        assert followed.news() == (again, "t0ken")
        assert followed.news() is None


def test_only_a_newer_session_that_has_ended_ends_it(here: _Session) -> None:
    ended = replace(_STARTING, state=rec.ENDED, how="failed")
    here.write(ended)
    followed = following.Followed(verbs.account_here(), "default")
    here.write(replace(ended, how="lost"))
    assert followed.news() is None
    newer = replace(ended, generation=2)
    here.write(newer)
    assert followed.news() == (newer, "")


def test_what_cannot_be_read_is_looked_for_again(here: _Session) -> None:
    followed = following.Followed(verbs.account_here(), "default")
    here.write(_TOLD)
    os.unlink(here.files.token)
    assert followed.news() is None
    Path(here.files.record).write_text("{")
    assert followed.news() is None
    here.write(_TOLD)
    assert followed.news() == (_TOLD, "t0ken")
    Path(here.files.record).write_text("{")
    assert followed.news() is None
    here.write(_TOLD)
    assert followed.news() is None

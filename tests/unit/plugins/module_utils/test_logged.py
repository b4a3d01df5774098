# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children
from ansible_collections.hpc.jupyter.plugins.module_utils.logged import LoggedChild, decisive

_SAYS_ITS_SECRET = 'echo before; echo "the token is $SECRET"; exec sleep 600'


def _end(child: LoggedChild) -> int:
    deadline = time.monotonic() + 10
    code = child.poll()
    while code is None and time.monotonic() < deadline:
        time.sleep(0.01)
        code = child.poll()
    assert code is not None
    return code


def _child(script: str, tmp_path: Path) -> LoggedChild:
    secret = "s3cret"
    return LoggedChild(["sh", "-c", script], environment=dict(os.environ, SECRET=secret), directory=str(tmp_path),
                       secret=secret)


def test_the_secret_is_taken_out_of_what_a_child_prints(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    child = _child(_SAYS_ITS_SECRET, tmp_path)
    deadline = time.monotonic() + 10
    while len(child.lines()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    assert _end(child) == -signal.SIGKILL
    assert child.lines() == ["before", "the token is ..."]
    assert capfd.readouterr().out == "before\nthe token is ...\n"


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("kill -TERM $$", -15), (":", 0)])
def test_exit_codes_tell_signals_from_codes(tmp_path: Path, script: str, code: int) -> None:
    assert _end(_child(script, tmp_path)) == code


def test_all_it_printed_has_arrived_when_it_has_ended(tmp_path: Path) -> None:
    child = _child("i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo line $i; done; exit 1", tmp_path)
    _end(child)
    assert child.lines()[-1] == "line 500"
    assert len(child.lines()) == 200


def test_a_child_without_room_for_its_reader_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="sleep could not be started: can't start new thread"):
        LoggedChild(["sleep", "4713"], environment=os.environ, directory=str(tmp_path))
    assert "sleep 4713" not in [process.command for process in children.processes().values()]


@pytest.mark.parametrize(("lines", "words"), [
    ([], "it printed nothing"),
    (["", "a", "b", "c", "d", ""], "b | c | d"),
    (["Traceback (most recent call last):", "  File x", "ModuleNotFoundError: No module named 'x'"],
     "ModuleNotFoundError: No module named 'x'"),
    (["[I 1 ServerApp] fine", "[C 1 ServerApp] Bad config encountered", "[I 1 ServerApp] bye"],
     "[C 1 ServerApp] Bad config encountered"),
    (["x" * 400], "x" * 300),
])
def test_a_reason_quotes_the_lines_that_decide(lines: list[str], words: str) -> None:
    assert decisive(lines) == words

"""The playbooks ``status`` and ``clean`` on an account where an earlier session has ended."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record

from tests.playbooks.plays import Home


def test_what_is_dead_is_told_removed_and_then_there_is_nothing_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    directory = home.root / "sessions" / "old"
    directory.mkdir(parents=True)
    record = Record("old", "local", "me@local", "none", 3, "ended", "time limit", "its time is over", "7.old@elsewhere")
    (directory / "record.json").write_text(json.dumps(asdict(record)))
    (directory / "job.log").write_text("the log\n")
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    said = f"{directory} on "
    before = home.listing()
    shown = home.play("status.yml", **python)
    assert (shown.code, shown.changed) == (0, 0), shown.out
    assert f"left over: {said}" in shown.out
    assert "record, token and log of session old, which has ended (time limit), since " in shown.out
    would = home.play("clean.yml", "--check", "--diff", **python)
    assert (would.code, would.changed) == (0, 1), would.out
    assert said in would.out
    assert home.listing() == before
    done = home.play("clean.yml", **python)
    assert (done.code, done.changed) == (0, 1), done.out
    assert not directory.exists()
    again = home.play("clean.yml", **python)
    assert (again.code, again.changed) == (0, 0), again.out
    assert "nothing to do" in again.out

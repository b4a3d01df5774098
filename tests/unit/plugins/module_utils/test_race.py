# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import race, request
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles

ID = "0123456789abcdef"
RACED = rec.Record("s", "lab", "alice@lab", "slurm", generation=2, state=rec.READY, race=ID)


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        """What it shows."""
        return self.now


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(race, "time", made)
    return made


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> SessionFiles:
    files = SessionFiles(str(tmp_path / "s"))
    os.mkdir(files.path, 0o700)
    rec.write(files.record, RACED)
    return files


def test_who_comes_for_a_session_takes_it_out_of_its_race(files: SessionFiles) -> None:
    assert race.claim(files, RACED).race == ""
    assert rec.read(files.record) == replace(RACED, race="")


def test_a_session_of_a_later_race_is_not_taken_by_who_saw_the_earlier_one(files: SessionFiles) -> None:
    later = replace(RACED, race="f" * 16)
    rec.write(files.record, later)
    race.claim(files, RACED)
    assert rec.read(files.record) == later


def test_a_full_disk_keeps_nobody_out(files: SessionFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rec, "update", full)
    assert race.claim(files, RACED).race == ""


def test_nobody_came(files: SessionFiles, clock: Clock) -> None:
    unclaimed = race.Unclaimed(files, 900)
    clock.now += 500
    unclaimed.begin()
    clock.now += 899
    assert not unclaimed.is_over()
    clock.now += 1
    assert unclaimed.is_over()


@pytest.mark.parametrize("seconds", [0, 900])
def test_one_that_somebody_came_for_goes_on(files: SessionFiles, clock: Clock, seconds: int) -> None:
    unclaimed = race.Unclaimed(files, seconds)
    unclaimed.begin()
    if seconds:
        race.claim(files, RACED)
    clock.now += 1000
    assert not unclaimed.is_over()
    rec.write(files.record, RACED)
    assert not unclaimed.is_over()


def test_one_that_is_used_goes_on_also_if_the_record_could_not_be_written(files: SessionFiles, clock: Clock) -> None:
    unclaimed = race.Unclaimed(files, 900)
    unclaimed.begin()
    clock.now += 60
    unclaimed.use(59)
    clock.now += 1000
    assert not unclaimed.is_over()


def test_what_was_used_before_it_was_ready_was_used_by_nobody(files: SessionFiles, clock: Clock) -> None:
    unclaimed = race.Unclaimed(files, 900)
    unclaimed.begin()
    clock.now += 1000
    unclaimed.use(1001)
    assert unclaimed.is_over()


def test_a_record_that_cannot_be_read_ends_nothing(files: SessionFiles, clock: Clock) -> None:
    unclaimed = race.Unclaimed(files, 900)
    clock.now += 1000
    os.rename(files.record, f"{files.record}.away")
    assert not unclaimed.is_over()
    os.rename(f"{files.record}.away", files.record)
    assert unclaimed.is_over()


def test_a_race_that_is_none() -> None:
    whose: dict[str, Any] = {"session": "s", "account": "a", "cluster": "c", "scheduler": "slurm"}
    assert request.from_json(request.build(**whose, race=ID, unclaimed_seconds="60").to_json()).race == ID
    with pytest.raises(BadInput, match=r"^race: '\.\./x' is not a race's id\. It is 16 hexadecimal digits$"):
        request.build(**whose, race="../x")

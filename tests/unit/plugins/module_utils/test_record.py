# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import layout, record
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import RecordError

EXAMPLE = record.Record("s", "cori", "alice@cori", "slurm", generation=3, state=record.READY, addresses=["10.0.0.1"])


def test_a_record_survives_its_file_and_is_private(tmp_path: Path) -> None:
    path = str(tmp_path / "record.json")
    record.write(path, EXAMPLE)
    assert record.read(path) == EXAMPLE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["record.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"{}", b'{"schema": "1"}', b'{"schema": 1}', b"\xff\xfe",
     b'{"schema": 1, "session": 1, "cluster": "c", "account": "a", "scheduler": "s"}',
     b'{"schema": 1, "session": "s", "cluster": "c", "account": "a", "scheduler": "s", "port": true}',
     b'{"schema": 1, "session": "s", "cluster": "c", "account": "a", "scheduler": "s", "addresses": [1]}'],
)
def test_what_is_torn_or_foreign_is_no_record(content: bytes) -> None:
    assert record.parse(content, path="record.json") is None


def test_unknown_fields_of_the_same_schema_are_passed_over() -> None:
    content = b'{"schema": 1, "session": "s", "cluster": "c", "account": "a", "scheduler": "s", "later": 1}'
    assert record.parse(content, path="x") == record.Record("s", "c", "a", "s")


def test_a_newer_schema_is_a_clear_error() -> None:
    with pytest.raises(RecordError) as caught:
        record.parse(b'{"schema": 2, "version": "9.1.0"}', path="/x/record.json")
    assert str(caught.value) == (
        f"/x/record.json was written by hpc.jupyter 9.1.0, this is {layout.VERSION}: update hpc.jupyter on this side"
    )


@pytest.mark.parametrize(("fields", "offer"), [
    ({"socket": "/tmp/s"}, "socket"), ({"port": 4711}, "loopback"), ({"offer": "lan", "port": 4711}, "lan"),
])
def test_a_record_of_the_first_release_offers_what_it_holds(fields: dict[str, object], offer: str) -> None:
    assert record.offered(replace(EXAMPLE, **fields)) == offer  # type: ignore[arg-type]


def test_an_absent_record_is_none(tmp_path: Path) -> None:
    assert record.read(str(tmp_path / "none")) is None


def _counted(latest: record.Record | None) -> record.Record:
    assert latest is not None
    return replace(latest, generation=latest.generation + 1)


def test_updates_from_many_writers_are_none_lost(tmp_path: Path) -> None:
    path = str(tmp_path / "record.json")
    record.write(path, replace(EXAMPLE, generation=0))

    def count() -> None:
        for _each in range(10):
            record.update(path, _counted)

    writers = [threading.Thread(target=count) for _each in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    counted = record.read(path)
    assert counted is not None
    assert counted.generation == 40
    assert os.listdir(tmp_path) == ["record.json"]


def test_an_update_may_leave_the_record_as_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "record.json")
    record.write(path, EXAMPLE)
    assert record.update(path, lambda _latest: None) is None
    assert record.read(path) == EXAMPLE

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import asking, node, wishes
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles

_READY = rec.Record("s", "lab", "alice@lab", "slurm", generation=2, state=rec.READY, offer="socket")
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"


@pytest.fixture(name="files")
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SessionFiles:
    """A session that is ready; directories on the login host are made in a place of the test's own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(node, "temporary_directories", lambda _environment: [str(temporary)])
    monkeypatch.setattr(node, "unfit", lambda _base, home: "")
    monkeypatch.setattr(node, "host_keys", lambda: [_KEY])
    files = SessionFiles(str(tmp_path / "s"))
    os.mkdir(files.path, 0o700)
    rec.write(files.record, _READY)
    return files


def _answers(files: SessionFiles, answer: Callable[[wishes.Wish, rec.Record], rec.Record]) -> threading.Thread:
    """A supervisor that answers one wish."""

    def supervise() -> None:
        wish = None
        while wish is None:
            time.sleep(0.01)
            wish = wishes.read(files.wish)
        answered = wish
        rec.update(files.record, lambda record: answer(answered, record or _READY))

    thread = threading.Thread(target=supervise, daemon=True)
    thread.start()
    return thread


def _place(files: SessionFiles) -> list[str]:
    return sorted(os.listdir(os.path.join(os.path.dirname(files.path), "tmp")))


def test_an_offer_is_answered_in_the_record(files: SessionFiles) -> None:
    _answers(files, lambda wish, record: replace(record, offer=wish.want, answered=wish.id))
    assert asking.offer(files, "lan", environment={}, seconds=20).offer == "lan"
    assert _place(files) == []


def test_the_way_back_gets_a_private_directory_that_takes_the_former_one_s_place(files: SessionFiles) -> None:
    for _each in range(2):
        Path(files.wish).unlink(missing_ok=True)
        _answers(files, lambda wish, record: replace(record, answered=wish.id))
        asking.offer(files, "reverse", environment={}, seconds=20)
        wish = wishes.read(files.wish)
        assert wish is not None
        assert wish.landing is not None
        assert [os.path.basename(wish.landing.directory)] == _place(files)
        assert os.stat(wish.landing.directory).st_mode & 0o777 == 0o700
    asking.forget_landings(replace(files, path="/another/session"))
    assert len(_place(files)) == 1
    asking.forget_landings(files)
    assert _place(files) == []


def test_a_refusal_is_told_and_leaves_no_directory(files: SessionFiles) -> None:
    _answers(files, lambda wish, record: replace(record, answered=f"{wish.id} login1 refuses"))
    with pytest.raises(asking.NotDone) as caught:
        asking.offer(files, "reverse", environment={}, seconds=20)
    assert (str(caught.value), _place(files)) == ("login1 refuses", [])


def test_an_end_is_told(files: SessionFiles) -> None:
    _answers(files, lambda _wish, record: rec.ended(record, how="stopped", reason="by its owner"))
    with pytest.raises(asking.NotDone) as caught:
        asking.restart(files, seconds=20)
    assert str(caught.value) == "the session ended before it answered (stopped: by its owner)"


@pytest.mark.parametrize(("changes", "want", "words"), [
    ({"state": rec.SUBMITTED}, "lan", "session s does not run, so it cannot be asked for anything"),
    ({"offer": "loopback"}, "lan", "session s runs on the very machine that it is used on: it needs no other way"),
    ({"scheduler": "none"}, "reverse", "session s runs on the login host itself: there is no way back to make"),
    ({}, "lan", "the session did not answer within 0 seconds. One that an earlier release started cannot be asked: "
                "stop it and launch it again"),
])
def test_what_cannot_be_asked_for_is_said(
    files: SessionFiles, changes: dict[str, object], want: str, words: str
) -> None:
    rec.write(files.record, replace(_READY, **changes))  # type: ignore[arg-type]
    with pytest.raises(asking.NotDone) as caught:
        asking.offer(files, want, environment={}, seconds=0)
    assert str(caught.value) == words


@pytest.mark.parametrize(("connection", "addresses", "port"), [
    ("", (), 22), ("203.0.113.7 50000 192.0.2.1 2222", ("192.0.2.1",), 2222),
    ("203.0.113.7 50000 fd00::1 22", ("fd00::1",), 22), ("127.0.0.1 50000 127.0.0.1 2222", (), 2222),
    ("a b c d", (), 22), ("203.0.113.7 50000 192.0.2.1 99999", ("192.0.2.1",), 22),
])
def test_a_landing_is_where_sshd_was_reached(
    monkeypatch: pytest.MonkeyPatch, connection: str, addresses: tuple[str, ...], port: int
) -> None:
    monkeypatch.setattr(node, "addresses", list)
    made = asking.landing("", environment={"SSH_CONNECTION": connection})
    assert (made.host, made.addresses, made.port) == (socket.gethostname(), addresses, port)

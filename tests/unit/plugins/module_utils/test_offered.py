# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import offered
from ansible_collections.hpc.jupyter.plugins.module_utils.offering import Listening
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record


def test_the_sshd_for_steps_is_prepared_once_while_jupyter_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Server:
        def __init__(self, *_given: Any, **_named: Any) -> None:
            done.append("started")

        def prove(self) -> None:
            done.append("proven")

    def prepare() -> str:
        done.append("prepared")
        return ""

    monkeypatch.setattr(offered, "Server", Server)
    record = Record("default", "lab", "alice@lab", "slurm")
    session = offered.Offered(
        mock.Mock(), record, mock.Mock(), mock.Mock(), landing=None, prepare_step=prepare,
    )
    for _each in range(2):
        session._start(Listening(socket=str(tmp_path / "s")))
    assert done == ["started", "prepared", "proven", "started", "proven"]

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import asdict

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.interfaces import page_of
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record


@pytest.mark.parametrize(("record", "page"), [
    ({"interface": "lab", "page": ""}, "lab"),
    ({"interface": "notebook", "page": ""}, "tree"),
    ({"interface": "nbclassic", "page": ""}, "tree"),
    ({"interface": "nbclassic", "page": "nbclassic/tree"}, "nbclassic/tree"),
    ({}, "lab"),
    ({"interface": "of a later release"}, "lab"),
    ({"interface": "notebook", "page": "../../elsewhere?"}, "tree"),
])
def test_a_record_says_where_its_interface_opens(record: dict[str, str], page: str) -> None:
    assert page_of(record) == page


def test_the_record_of_an_earlier_release_opens_jupyterlab() -> None:
    assert page_of(asdict(Record("default", "lab", "alice@lab", "slurm"))) == "lab"

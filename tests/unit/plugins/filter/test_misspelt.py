# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.filter.misspelt import misspelt


@pytest.mark.parametrize(
    ("names", "sentences"),
    [
        (["venv"], []),
        (["vnev"], ["vnev is not a kind; did you mean venv?"]),
        (["qqq"], ["qqq is not a kind; there are existing, venv"]),
        (["venv", "existng"], ["existng is not a kind; did you mean existing?"]),
    ],
)
def test_unknown_names_come_with_the_one_that_was_meant(names: list[str], sentences: list[str]) -> None:
    assert misspelt(names, ["venv", "existing"], "a kind") == sentences

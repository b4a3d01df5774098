# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.filter.listed import FilterModule


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (None, []),
        ("", []),
        (" \n", []),
        ("numpy", "numpy"),
        ("numpy,scipy", "numpy,scipy"),
        ("numpy>=1,<2\r\n  scipy \n\n", ["numpy>=1,<2", "scipy"]),
        (["a\nb", ""], ["a\nb", ""]),
    ],
)
def test_text_of_several_lines_is_a_list(value: object, items: object) -> None:
    assert FilterModule().filters()["listed"](value) == items

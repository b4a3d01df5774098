# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import packages
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

LOCK = """\
anyio==4.16.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
tornado==6.5.10 ; python_full_version < '3.11' \\
    --hash=sha256:cc
tornado==6.6.1 ; python_full_version >= '3.11' \\
    --hash=sha256:dd
"""


@pytest.mark.parametrize(
    ("package", "secrets", "shown"),
    [
        ("numpy>=2", set(), "numpy>=2"),
        ("tool @ https://host/a@1/tool.whl", set(), "tool @ https://host/a@1/tool.whl"),
        ("tool @ https://me:pw@host/tool.whl", {"pw"}, "tool @ https://me:********@host/tool.whl"),
        ("tool @ git+https://ghp_token@host/tool.git@v1", {"ghp_token"}, "tool @ git+https://********@host/tool.git@v1"),
    ],
)
def test_passwords_in_addresses_are_found_and_not_shown(package: str, secrets: set[str], shown: str) -> None:
    assert packages.secrets([package]) == secrets
    assert packages.shown(package) == shown


def test_constraints_are_the_lock_without_hashes() -> None:
    assert packages.constraints(LOCK) == (
        "anyio==4.16.0\n"
        "tornado==6.5.10 ; python_full_version < '3.11'\n"
        "tornado==6.6.1 ; python_full_version >= '3.11'\n"
    )


@pytest.mark.parametrize("package", ["", " ", "--index-url=http://x", "-e .", " -r x", "a\nb", "# a", "a\0"])
def test_what_is_no_package_is_refused(package: str) -> None:
    with pytest.raises(BadInput) as caught:
        packages.check_packages(["numpy", package])
    assert str(caught.value) == (
        f"jupyter_environment_packages: {package!r} is not a package. "
        "Write one a list item, such as numpy or pandas>=2"
    )


def test_packages_of_all_kinds_are_taken() -> None:
    packages.check_packages(["numpy", "pandas>=2,<3", "x[y] @ https://example.org/x.whl", "./my.whl"])

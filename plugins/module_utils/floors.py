# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first releases of Jupyter's packages without known holes, and whether older ones may be used all the same."""

from __future__ import annotations

import contextlib
from typing import Mapping, Sequence

LOCKED: Mapping[str, tuple[int, ...]] = {"jupyter-server": (2, 21), "jupyterlab": (4, 6, 2), "tornado": (6, 5, 8)}
"""Those that every environment has."""
FLOORS: Mapping[str, tuple[int, ...]] = {**LOCKED, "jupyter-server-proxy": (4, 1, 1)}
"""With those that the server loads where they are installed."""
INTERFACES: Mapping[str, tuple[int, ...]] = {"notebook": (7, 5, 6)}
"""Those that matter only to sessions which show them."""

ALLOWED = "# jupyter_environment_allow_old\n"
"""A line of ``environment.sh``: somebody has decided to use what is older."""
REMEDY = (
    "Update it, or have an environment made (jupyter_environment_kind: venv); to use it all the same, set "
    "jupyter_environment_allow_old: true. Then run the playbook hpc.jupyter.setup"
)


def below(versions: Mapping[str, str], floors: Mapping[str, tuple[int, ...]]) -> list[str]:
    """One sentence for each package that is older than its first safe release."""
    return [
        f"{name} {versions[name]} has known holes, {dotted(floor)} is the first without"
        for name, floor in floors.items()
        if name in versions and release(versions[name]) < floor
    ]


def installed(names: Sequence[str]) -> dict[str, str]:
    """The versions of those packages that this very Python has."""
    from importlib import metadata  # a fifth of a module's own start, and modules have no use for this

    found: dict[str, str] = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name) or ""  # none in a broken one
    return {name: version for name, version in found.items() if version}


def are_allowed(script: str) -> bool:
    """Whether the script at ``script``, ``environment.sh``, says that older packages may be used."""
    try:
        with open(script, "rb") as stream:
            return ALLOWED.encode() in stream.readlines()
    except OSError:
        return False


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, up to the first part that is none: ``4.6.2rc1`` is 4, 6."""
    numbers = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def dotted(version: Sequence[int]) -> str:
    """``(4, 6, 2)`` as one writes it."""
    return ".".join(str(part) for part in version)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces that a session may show: JupyterLab, Notebook 7, and the classic notebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping


@dataclass(frozen=True)
class Interface:
    """``module`` is started with ``python -m``, ``package`` is what installs it; ``page`` is its URL's last part."""

    module: str
    package: str
    title: str
    page: str


LAB = "lab"
INTERFACES = {
    LAB: Interface("jupyterlab", "jupyterlab", "JupyterLab", "lab"),
    "notebook": Interface("notebook", "notebook", "Jupyter Notebook", "tree"),
    "nbclassic": Interface("nbclassic", "nbclassic", "the classic notebook", "tree"),
}


CLASSIC_BESIDE_NOTEBOOK = "nbclassic/tree"
"""Where the classic notebook is when Notebook 7 is in its environment too."""
_PAGES = ("lab", "tree", CLASSIC_BESIDE_NOTEBOOK)


def page_of(record: Mapping[str, Any]) -> str:
    """What follows ``base_url`` in the URL of the session that ``record``, as a mapping, describes."""
    said = record.get("page")
    if said in _PAGES:
        return str(said)
    return INTERFACES[record["interface"] if record.get("interface") in INTERFACES else LAB].page

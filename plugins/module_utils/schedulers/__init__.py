# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedulers by their names."""

from __future__ import annotations

from typing import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Scheduler, Site
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.detach import DETACHES, SETSID
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.lsf import Lsf
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.none import NoScheduler
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.pbs import Pbs
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.sge import Sge
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.slurm import Slurm

SCHEDULERS: dict[str, type[Scheduler]] = {"none": NoScheduler, "slurm": Slurm, "pbs": Pbs, "sge": Sge, "lsf": Lsf}


def by_name(name: str, *, root: str, detach: str = SETSID, site: Mapping[str, object] | None = None) -> Scheduler:
    """The scheduler called ``name``, for the account whose directory is ``root``; ``detach`` is ``hpc_detach``.

    ``site`` are the facts that a ``Site`` is made from; others may be among them.
    """
    if name not in SCHEDULERS:
        raise BadInput("scheduler", f"{name!r} is not one of {', '.join(SCHEDULERS)}")
    if detach not in DETACHES:
        raise BadInput("hpc_detach", f"{detach!r} is not one of {', '.join(DETACHES)}")
    return SCHEDULERS[name](root=root, detach=detach, site=Site.of(site or {}))

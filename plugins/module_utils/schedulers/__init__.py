# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schedulers by their names."""

from __future__ import annotations

from typing import Callable, Iterator, Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import DETACHES, SETSID, Scheduler, Site


def _none() -> type[Scheduler]:
    from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.none import NoScheduler

    return NoScheduler


def _slurm() -> type[Scheduler]:
    from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.slurm import Slurm

    return Slurm


def _pbs() -> type[Scheduler]:
    from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.pbs import Pbs

    return Pbs


def _sge() -> type[Scheduler]:
    from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.sge import Sge

    return Sge


def _lsf() -> type[Scheduler]:
    from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.lsf import Lsf

    return Lsf


_LOADERS: dict[str, Callable[[], type[Scheduler]]] = {
    "none": _none, "slurm": _slurm, "pbs": _pbs, "sge": _sge, "lsf": _lsf,
}  # fmt: skip


class _Schedulers(Mapping[str, "type[Scheduler]"]):
    """Each is loaded when it is asked for: a module would take longer to compile all of them than for its work."""

    def __getitem__(self, name: str) -> type[Scheduler]:
        return _LOADERS[name]()

    def __contains__(self, name: object) -> bool:
        return name in _LOADERS

    def __iter__(self) -> Iterator[str]:
        return iter(_LOADERS)

    def __len__(self) -> int:
        return len(_LOADERS)


SCHEDULERS: Mapping[str, type[Scheduler]] = _Schedulers()


def by_name(name: str, *, root: str, detach: str = SETSID, site: Mapping[str, object] | None = None) -> Scheduler:
    """The scheduler called ``name``, for the account whose directory is ``root``; ``detach`` is ``hpc_detach``.

    ``site`` are the facts that a ``Site`` is made from; others may be among them.
    """
    if name not in SCHEDULERS:
        raise BadInput("scheduler", f"{name!r} is not one of {', '.join(SCHEDULERS)}")
    if detach not in DETACHES:
        raise BadInput("hpc_detach", f"{detach!r} is not one of {', '.join(DETACHES)}")
    return SCHEDULERS[name](root=root, detach=detach, site=Site.of(site or {}))

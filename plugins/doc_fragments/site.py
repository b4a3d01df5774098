# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What a site calls things that every site may call something else."""

    DOCUMENTATION = r"""
options:
  site:
    description: What the site calls what every site may call something else; the facts C(hpc_…) of these names.
    type: dict
    suboptions:
      parallel_environment:
        description: The parallel environment of Grid Engine whose slots are on one host; V(smp) if not set.
        type: str
      memory_resource:
        description: What memory is called with Grid Engine; V(h_vmem) if not set.
        type: str
      memory_per:
        description: Whether Grid Engine and LSF count memory for each V(slot) or for the whole V(job).
        type: str
      gpu_resource:
        description: What GPUs are called, V(gpu) with Grid Engine and V(ngpus) with PBS if not set.
        type: str
"""

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What a job can be asked for, in the field's terms."""

    DOCUMENTATION = r"""
options:
  resources:
    description: What the job gets. What is left out is left to the cluster's own defaults.
    type: dict
    default: {}
    suboptions:
      time:
        description: The walltime, as C([D-]H:MM:SS), quoted.
        type: str
      cpus:
        description: Cores.
        type: str
      memory:
        description: Memory of the node, such as V(8G).
        type: str
      gpus:
        description: GPUs, as a number or as type and number, such as V(a100:2).
        type: str
      gres:
        description: Further generic resources, as the scheduler writes them.
        type: str
      partition:
        description: The partition or queue.
        type: str
      project:
        description: The account, project or allocation that is charged.
        type: str
      qos:
        description: The quality of service.
        type: str
      constraint:
        description: Node features that are needed.
        type: str
      reservation:
        description: The reservation to run in.
        type: str
      nodes:
        description: Number of nodes.
        type: str
      exclusive:
        description: Whether the node is for this job alone.
        type: bool
      mail_user:
        description: Whom the scheduler sends mail.
        type: str
      mail_type:
        description: When it sends mail, such as V(BEGIN).
        type: str
      dependency:
        description: Jobs to wait for, such as V(afterok:123).
        type: str
      extra:
        description: Further options of the scheduler's submit command, one a list item.
        type: list
        elements: str
"""

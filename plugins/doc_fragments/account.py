# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The options that name an account, shared by the modules that run on one."""

    DOCUMENTATION = r"""
options:
  account:
    description: The account's name in the inventory, such as C(alice@cori); it appears in messages.
    type: str
    required: true
  cluster:
    description: The cluster's name.
    type: str
    required: true
  scheduler:
    description: The cluster's scheduler, V(slurm), V(pbs), V(sge), V(lsf) or V(none).
    type: str
    required: true
  root:
    description:
      - The account's directory for this collection.
      - Defaults to C(~/.local/share/hpc-jupyter/CLUSTER).
    type: str
  detach:
    description:
      - How a session is let go of where O(scheduler=none), so that it outlives the login.
      - V(tmux) and V(screen) show it in a window that is called as the session's job is.
    type: str
    choices: [setsid, tmux, screen]
    default: setsid
"""

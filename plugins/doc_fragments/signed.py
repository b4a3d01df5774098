# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How long a certificate is good and who signs it."""

    DOCUMENTATION = r"""
options:
  renew:
    description:
      - Whether a key and certificate that are good are made anew as well; of M(hpc.jupyter.server), also the key of the
        way back. Sessions that run go on with theirs.
    type: bool
    default: false
  days:
    description:
      - How long a new certificate is good, from 1 to 3650 days. One of the authority's is good for 397 days at most, as
        browsers want it, and no longer than the authority.
    type: int
    default: 365
  authority:
    description:
      - The directory of the authority on the controller. If empty, C(ca) beside the inventory, which is the directory
        or file that was given with C(-i). Without a C(ca.pem) there, certificates are self-signed.
    type: str
    default: ""
"""

#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server
short_description: What an account's sessions need beside JupyterLab
version_added: 0.1.0
description:
  - Provides the job script, the account's own command C(hpc-session), Jupyter's configuration, a private key with a
    certificate as M(hpc.jupyter.certificate) does, and the key of the way back. C(account.json) is written last.
  - The passwords are taken from the variables C(jupyter_server_password), C(jupyter_server_password_hash) and
    C(jupyter_server_authority_passphrase), so that they are no task's arguments. Only the password's hash gets to the
    account. A hash there that fits the password already is kept.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
  - hpc.jupyter.home
  - hpc.jupyter.signed
  - hpc.jupyter.site
attributes:
  action:
    description: Hashes and signs on the controller; what happens on the account is M(hpc.jupyter.account).
    support: full
  diff_mode:
    description: Shows what changes, but no password hash and no key.
options:
  account:
    description: The account's name in the inventory.
    type: str
    required: true
  cluster:
    description: The cluster's name.
    type: str
    required: true
  scheduler:
    description: The cluster's scheduler.
    type: str
    default: none
  detach:
    description: How sessions are let go of where O(scheduler=none), V(setsid), V(tmux) or V(screen).
    type: str
    default: setsid
  tls:
    description:
      - When sessions use TLS, V(auto), V(always) or V(never). V(auto) is on routes that need a TCP port on the cluster;
        with V(never) there is no certificate.
    type: str
    default: auto
  idle_limit_seconds:
    description: The most seconds without use that C(hpc-session start) accepts; V(0) accepts everything, never too.
    type: int
    default: 86400
  reverse_key:
    description:
      - Whether the key with which a node makes the way back to the login host is V(needed), V(wanted) or V(absent).
      - If it cannot be made where it is V(wanted), there is a warning.
    type: str
    default: absent
  job:
    description: The text of the job script.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Provide what sessions need
  hpc.jupyter.server:
    root: ~/.local/share/hpc-jupyter/cori
    account: alice@cori
    cluster: cori
    scheduler: slurm
    job: "{{ lookup('ansible.builtin.file', 'job.sh', rstrip=false) }}"
"""

RETURN = r"""
root:
  description: The account's directory, as an absolute path.
  returned: success
  type: str
  sample: /home/alice/.local/share/hpc-jupyter/cori
fingerprint:
  description: The certificate's SHA-256, in hexadecimal digits; in check mode the one that is there, if any.
  returned: success
  type: str
  sample: 3f1c0ad1
renewed:
  description: What is another one than before, of C(certificate), C(reverse_key) and C(password), which is its hash.
  returned: success
  type: list
  elements: str
note:
  description: Why there is no certificate of the authority's, although there is an authority; else empty.
  returned: success
  type: str
wants_passphrase:
  description: Whether the authority's passphrase is missing to make the certificate.
  returned: success
  type: bool
"""

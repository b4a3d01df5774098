#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: The private key and the certificate of an account's sessions
version_added: 0.1.0
description:
  - Makes C(key.pem) and C(cert.pem) for C(localhost) and C(127.0.0.1) on the account. The key never leaves the cluster.
  - Both are made anew when one is missing or damaged, when others could read the key, or near the certificate's end.
  - Where the lab has an authority, which C(hpc-jupyter ca make) makes, a request travels to the controller, is signed
    there, and the certificate travels back. A certificate that is not the authority's is replaced too.
  - The passphrase of the authority's key is taken from the variable C(jupyter_server_authority_passphrase), so that it
    is no task's argument. Without it, or where the key is not on this machine, a certificate that is good stays, and
    one that is not is replaced by a self-signed one.
author:
  - The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
  - hpc.jupyter.signed
attributes:
  action:
    description: Signs on the controller; what happens on the account is M(hpc.jupyter.account).
    support: full
  diff_mode:
    description: Shows the certificate's fingerprint and why it changes, never a key.
options:
  root:
    description: The account's directory. Both files are in C(server) there.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Provide the certificate
  hpc.jupyter.certificate:
    root: ~/.local/share/hpc-jupyter/cori
"""

RETURN = r"""
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

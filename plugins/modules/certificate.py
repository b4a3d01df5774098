#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
short_description: Make a private key and a self-signed certificate on the account
version_added: 0.1.0
description:
  - Makes C(key.pem) and C(cert.pem) for C(localhost) and C(127.0.0.1). The key never leaves the account.
  - Both are made anew when one is missing or damaged, when others could read the key, or near the certificate's end.
author: The hpc.jupyter contributors (@hpc-jupyter)
attributes:
  check_mode:
    support: full
    description: Says what would change and changes nothing.
  diff_mode:
    support: full
    description: Shows the certificate's fingerprint and why it changes, never the key.
options:
  directory:
    description: The directory of both files, which must belong to the account alone.
    type: path
    required: true
  days:
    description: How long a new certificate is good, from 1 to 3650 days.
    type: int
    default: 365
"""

EXAMPLES = r"""
- name: Make the certificate
  hpc.jupyter.certificate:
    directory: ~/.local/share/hpc-jupyter/cori/server
"""

RETURN = r"""
fingerprint:
  description: The certificate's SHA-256, in hexadecimal digits; empty if there is none in check mode.
  returned: success
  type: str
  sample: 3f1c0ad1
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "days": {"type": "int", "default": 365},
}


def main() -> None:
    """Make the pair unless it is good."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        module.exit_json(**_run(module))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> dict[str, object]:
    days = module.params["days"]
    if not 1 <= days <= 3650:
        raise BadInput("jupyter_server_certificate_days", f"{days} is not between 1 and 3650")
    pair = certificate.Pair(module.params["directory"])
    before = certificate.fingerprint(pair)
    problem = certificate.problem(pair, renew_days=min(30, days // 3))
    if problem and not module.check_mode:
        certificate.make(pair, days=days)
    after = certificate.fingerprint(pair)
    now = "(new)" if problem and module.check_mode else after
    why = f"# {problem}\n" if problem else ""
    diff = {
        "before_header": pair.certificate,
        "after_header": pair.certificate,
        "before": f"SHA-256 {before}\n" if before else "",
        "after": f"{why}SHA-256 {now}\n",
    }
    return {"changed": bool(problem), "fingerprint": after, "diff": diff}


if __name__ == "__main__":
    main()

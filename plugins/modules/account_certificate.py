#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.account_certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: account_certificate
short_description: What M(hpc.jupyter.certificate) does on the account
version_added: 0.1.0
description:
  - Makes C(key.pem) and C(cert.pem) for C(localhost) and C(127.0.0.1). The key never leaves the account.
  - Both are made anew when one is missing or damaged, when others could read the key, or near the certificate's end.
  - Use M(hpc.jupyter.certificate), which asks the lab's authority where there is one.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  diff_mode:
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
  renew_days:
    description: How long before its end a certificate is renewed. By default 30 days, at most a third of O(days).
    type: int
  step:
    description:
      - With V(sign), a certificate is made that the new key itself has signed, unless the one there is good.
      - With V(look), says what is there. With V(request), makes a new key beside the one in use, and a request for its
        certificate. With V(install), puts O(certificate) and that key in place.
    type: str
    choices: [sign, look, request, install]
    default: sign
  certificate:
    description: The certificate to install, as PEM.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Look at the certificate
  hpc.jupyter.account_certificate:
    directory: ~/.local/share/hpc-jupyter/cori/server
    step: look
"""

RETURN = r"""
fingerprint:
  description: The certificate's SHA-256, in hexadecimal digits; empty if there is none in check mode.
  returned: success
  type: str
  sample: 3f1c0ad1
problem:
  description: Why the pair has to be made anew; empty if it is good.
  returned: with O(step=look) or O(step=sign)
  type: str
  sample: there is no key.pem
certificate:
  description: The certificate as it is, as PEM.
  returned: with O(step=look)
  type: str
path:
  description: Where the certificate is.
  returned: success
  type: str
  sample: /home/alice/.local/share/hpc-jupyter/cori/server/cert.pem
request:
  description: The request for a certificate, as PEM.
  returned: with O(step=request)
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import certificate
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "days": {"type": "int", "default": 365},
    "renew_days": {"type": "int"},
    "step": {"type": "str", "choices": ["sign", "look", "request", "install"], "default": "sign"},
    "certificate": {"type": "str", "default": ""},
}


def main() -> None:
    """Take one step."""
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
    if not module.check_mode and not os.path.isdir(pair.directory):
        hint = "Set the account up first, with the playbook hpc.jupyter.setup"
        raise HpcJupyterError(f"{pair.directory} is not there. {hint}")
    if module.params["step"] in ("look", "sign"):
        return (_look if module.params["step"] == "look" else _sign)(module, pair, days)
    return _signed_elsewhere(module, pair)


def _problem(module: AnsibleModule, pair: certificate.Pair, days: int) -> str:
    renew_days = module.params["renew_days"]
    return certificate.problem(pair, renew_days=min(30, days // 3) if renew_days is None else renew_days)


def _look(module: AnsibleModule, pair: certificate.Pair, days: int) -> dict[str, object]:
    seen = {"certificate": certificate.text(pair), "problem": _problem(module, pair, days)}
    return {"changed": False, "path": pair.certificate, "fingerprint": certificate.fingerprint(pair), **seen}


def _sign(module: AnsibleModule, pair: certificate.Pair, days: int) -> dict[str, object]:
    before, problem = certificate.fingerprint(pair), _problem(module, pair, days)
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
    return {
        "changed": bool(problem), "path": pair.certificate, "fingerprint": after, "problem": problem, "diff": diff,
    }


def _signed_elsewhere(module: AnsibleModule, pair: certificate.Pair) -> dict[str, object]:
    result: dict[str, object] = {"changed": True, "path": pair.certificate}
    if not module.check_mode:
        if module.params["step"] == "request":
            result["request"] = certificate.request(pair)
        else:
            certificate.install(pair, module.params["certificate"])
    return {**result, "fingerprint": certificate.fingerprint(pair)}


if __name__ == "__main__":
    main()

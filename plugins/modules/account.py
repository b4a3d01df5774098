#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.account."""

from __future__ import annotations

DOCUMENTATION = r"""
module: account
short_description: The directory of an account and what is in it
version_added: 0.1.0
description:
  - Makes what an account's sessions need beside JupyterLab, all of it in one round trip, or removes it.
  - Refuses an account on which sessions cannot or should not run, before anything is changed.
  - C(account.json), which says whose the directory is and that the account is set up, is written last.
  - Use M(hpc.jupyter.server) and M(hpc.jupyter.certificate), which know what has to be asked first.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
  - hpc.jupyter.home
  - hpc.jupyter.site
attributes:
  diff_mode:
    description: Shows what changes, but no password hash and no key.
options:
  state:
    description:
      - With V(absent), everything of ours is removed, O(root) itself unless it holds something else.
      - A virtual environment that was made elsewhere goes too, unless others may use it.
      - Directories above it, up to the home directory, go if they are empty then.
    type: str
    choices: [present, absent]
    default: present
  look:
    description: Only says what would change, and what there is, as in check mode.
    type: bool
    default: false
  sessions:
    description: Whether to make the directories that sessions need. Without it they must be there.
    type: bool
    default: false
  account:
    description: The account's name in the inventory. If empty, there will be no C(account.json).
    type: str
    default: ""
  cluster:
    description: The cluster's name.
    type: str
    default: ""
  scheduler:
    description: The cluster's scheduler.
    type: str
    default: none
  detach:
    description: How sessions are let go of where O(scheduler=none).
    type: str
    choices: [setsid, tmux, screen]
    default: setsid
  tls:
    description: When sessions use TLS; V(auto) is on routes that need a TCP port on the cluster.
    type: str
    choices: [auto, always, never]
    default: auto
  idle_limit_seconds:
    description: The most seconds without use that C(hpc-session start) accepts; V(0) accepts everything, never too.
    type: int
    default: 86400
  job:
    description: The text of the job script. If empty, it stays as it is.
    type: str
    default: ""
  config:
    description: The text of Jupyter's configuration. If empty, it stays as it is.
    type: str
    default: ""
  program_sha256:
    description:
      - The SHA-256 of the archive that C(hpc-session) has to be, after its first line, which names a Python. If empty,
        it stays as it is.
    type: str
    default: ""
  program:
    description: That archive, compressed with zlib, as base64. Needed where RV(program) says so.
    type: str
    default: ""
  link:
    description: A link to C(hpc-session), in a directory that is on C(PATH). It is made if nothing else is there.
    type: path
    default: ""
  reverse_key:
    description:
      - The key with which a node makes the way back to the login host, and its line in C(authorized_keys).
      - Where it is V(wanted) and cannot be made, there is a warning; where it is V(needed), a failure.
      - If empty, it stays as it is.
    type: str
    choices: ["", needed, wanted, absent]
    default: ""
  renew:
    description:
      - Has a new key take the place of the one of O(reverse_key) although that is good. It is let in first, and the
        former one's line is removed last.
    type: bool
    default: false
  certificate:
    description:
      - With V(look), only says what is there. With V(sign), a certificate is made that the new key itself has signed,
        unless the one there is good; with V(anew), also then.
      - With V(request), makes a new key beside the one in use, and a request for its certificate. With V(install), puts
        O(certificate_pem) and that key in place.
      - If empty, it stays as it is.
    type: str
    choices: ["", look, sign, anew, request, install]
    default: ""
  certificate_pem:
    description: The certificate to install.
    type: str
    default: ""
  days:
    description: How long a new certificate is good, from 1 to 3650 days.
    type: int
    default: 365
  renew_days:
    description: How long before its end a certificate is renewed. By default 30 days, at most a third of O(days).
    type: int
"""

EXAMPLES = r"""
- name: Remove what is ours
  hpc.jupyter.account:
    root: ~/.local/share/hpc-jupyter/cori
    account: alice@cori
    cluster: cori
    state: absent
"""

RETURN = r"""
root:
  description: The account's directory, as an absolute path.
  returned: success
  type: str
  sample: /home/alice/.local/share/hpc-jupyter/cori
kept:
  description: What is in O(root) and not ours.
  returned: when O(state=absent)
  type: list
  elements: str
note:
  description: Why an environment of the account that is not in O(root) stays; empty if none does.
  returned: when O(state=absent)
  type: str
  sample: the environment /home/alice/envs/lab is not ours and stays
program:
  description: Whether C(hpc-session) has to be replaced.
  returned: when O(state=present)
  type: bool
config:
  description: The SHA-256 of Jupyter's configuration, and what can be told of the password hash in it.
  returned: when O(look=true)
  type: dict
certificate:
  description: Where the certificate is, as C(path), its SHA-256 as C(fingerprint), and its text as C(certificate).
  returned: when O(certificate) is given
  type: dict
problem:
  description: Why the certificate has to be made anew; empty if it is good.
  returned: when O(certificate) is given
  type: str
  sample: there is no key.pem
renewed:
  description: What is another one than before, of C(certificate), C(reverse_key) and C(password), which is its hash.
  returned: when O(state=present)
  type: list
  elements: str
request:
  description: The request for a certificate, as PEM.
  returned: with O(certificate=request)
  type: str
"""

import os
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import (
    account,
    certificate,
    changes,
    program,
    removal,
    reverse_key,
    told_hash,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.arguments import SITE
from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout

ARGUMENTS = {
    "root": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "look": {"type": "bool", "default": False},
    "allow_root": {"type": "bool", "default": False},
    "sessions": {"type": "bool", "default": False},
    "account": {"type": "str", "default": ""},
    "cluster": {"type": "str", "default": ""},
    "scheduler": {"type": "str", "default": "none"},
    "detach": {"type": "str", "choices": ["setsid", "tmux", "screen"], "default": "setsid"},
    "site": SITE,
    "tls": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "idle_limit_seconds": {"type": "int", "default": 86400},
    "job": {"type": "str", "default": ""},
    "config": {"type": "str", "default": "", "no_log": True},
    "program_sha256": {"type": "str", "default": ""},
    # no secret, but too long for the account's system log
    "program": {"type": "str", "default": "", "no_log": True},
    "link": {"type": "path", "default": ""},
    "reverse_key": {"type": "str", "choices": ["", "needed", "wanted", "absent"], "default": ""},
    "renew": {"type": "bool", "default": False},
    "certificate": {"type": "str", "choices": ["", "look", "sign", "anew", "request", "install"], "default": ""},
    "certificate_pem": {"type": "str", "default": ""},
    "days": {"type": "int", "default": 365},
    "renew_days": {"type": "int"},
}


def main() -> None:
    """Check the account, then make what is missing or remove what is ours."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        layout = account.layout(module.params["root"])
        module.exit_json(**(_remove if module.params["state"] == "absent" else _provide)(module, layout))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _remove(module: AnsibleModule, layout: Layout) -> dict[str, Any]:
    planned = removal.plan(layout, cluster=module.params["cluster"], account=module.params["account"])
    if not module.check_mode:
        removal.apply(planned)
    gone = [*planned.remove, *([planned.environment] if planned.environment else [])]
    diff = [{"before_header": path, "after_header": path, "before": "there\n", "after": ""} for path in gone]
    kept = {"kept": list(planned.kept), "note": planned.note}
    return {"changed": bool(gone), "root": layout.root, **kept, "diff": diff}


def _provide(module: AnsibleModule, layout: Layout) -> dict[str, Any]:
    params, look = module.params, module.check_mode or module.params["look"]
    _check(module, layout, probe=not look)
    command = program.plan(layout.command, sha256=params["program_sha256"], packed=params["program"])
    result: dict[str, Any] = {"root": layout.root, "program": bool(params["program_sha256"] and command)}
    certified = _certificate(params, layout, result)
    planned = [
        *(account.directories(layout, sessions=True) if params["sessions"] else ()),
        *(changes.file(layout.job_script, params["job"], bits=0o700) if params["job"] else ()),
        *(command if result["program"] else ()),
        *(program.link(params["link"], layout.command) if params["link"] else ()),
        *certified,
    ]
    if not look:
        changes.apply(planned)
    way_back = _reverse_key(module, layout, look=look)
    config = changes.file(layout.server_config, params["config"], secret=True) if params["config"] else []
    hashed = bool(config) and "hashed_password" in changes.text(layout.server_config) + params["config"]
    last = [*config, *(account.facts_file(layout, _facts(params)) if params["account"] else ())]
    if look:
        result["config"] = told_hash.told(layout.server_config)
    else:
        changes.apply(last)
    renewed = {"certificate": certified, "reverse_key": way_back, "password": hashed}
    result["renewed"] = [name for name, found in renewed.items() if found]
    planned += way_back + last
    return {**result, **_seen(params, layout), "changed": bool(planned), "diff": changes.diff(planned)}


def _check(module: AnsibleModule, layout: Layout, *, probe: bool) -> None:
    """Raise ``HpcJupyterError`` unless the account can be used."""
    days = module.params["days"]
    if not 1 <= days <= 3650:
        raise BadInput("jupyter_server_certificate_days", f"{days} is not between 1 and 3650")
    if module.params["sessions"]:
        account.check_usable(layout, allow_root=module.params["allow_root"], probe=probe)
    elif not module.check_mode and not os.path.isdir(layout.server):
        hint = "Set the account up first, with the playbook hpc.jupyter.setup"
        raise HpcJupyterError(f"{layout.server} is not there. {hint}")


def _facts(params: dict[str, Any]) -> dict[str, str]:
    names = ("account", "cluster", "scheduler", "detach", "tls", "idle_limit_seconds")
    site = {name: value for name, value in (params["site"] or {}).items() if value}
    return {**{name: str(params[name]) for name in names}, **site}


def _seen(params: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """What is told of the certificate as it is now."""
    if not params["certificate"]:
        return {}
    pair = certificate.Pair(layout.server)
    found = {"path": pair.certificate, "fingerprint": certificate.fingerprint(pair)}
    return {"certificate": {**found, "certificate": certificate.text(pair)}}


def _certificate(params: dict[str, Any], layout: Layout, result: dict[str, Any]) -> list[Change]:
    step, days, pair = params["certificate"], params["days"], certificate.Pair(layout.server)
    before = certificate.fingerprint(pair)
    if step in ("look", "sign", "anew"):
        problem = result["problem"] = certificate.problem(pair, renew_days=_renew_days(params))
        why = problem or (certificate.ASKED_FOR if step == "anew" else "")
        make = partial(certificate.make, pair, days=days)
        return [certificate.change(pair, before, why, make)] if step != "look" and why else []
    if step == "request":
        return [Change(pair.next_key, "", "# a new key\n", lambda: result.update(request=certificate.request(pair)))]
    make = partial(certificate.install, pair, params["certificate_pem"])
    return [certificate.change(pair, before, "", make)] if step == "install" else []


def _renew_days(params: dict[str, Any]) -> int:
    given = params["renew_days"]
    return min(30, int(params["days"]) // 3) if given is None else int(given)


def _reverse_key(module: AnsibleModule, layout: Layout, *, look: bool) -> list[Change]:
    """Where it is not needed, what goes wrong with it is only said."""
    wanted = module.params["reverse_key"]
    if not wanted:
        return []
    try:
        planned = reverse_key.plan(
            layout, cluster=module.params["cluster"], present=wanted != "absent", renew=module.params["renew"]
        )
        if not look:
            changes.apply(planned)
    except (HpcJupyterError, OSError) as error:
        if wanted == "needed":
            raise
        module.warn(f"route reverse will not work: {error}")
        return []
    return planned


if __name__ == "__main__":
    main()

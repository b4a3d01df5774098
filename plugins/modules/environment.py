#!/usr/bin/python
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hpc.jupyter.environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: environment
short_description: Provide the environment that JupyterLab runs from
version_added: 0.1.0
description:
  - Makes, upgrades or repairs a virtual environment with JupyterLab from a lock file with hashes, or checks one that is
    there.
  - Gives the script that a job sources to get at it, after that script has been tried on this host.
  - An environment that this module did not make is never changed.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
attributes:
  diff_mode:
    description: Shows of what the environment is and would be made.
options:
  kind:
    description:
      - V(venv) makes one; V(existing) uses what is at O(path); V(module) uses the C(jupyter) that O(modules) bring;
        V(conda) activates the conda environment O(path); V(command) runs Python behind O(command).
    type: str
    choices: [venv, existing, module, conda, command]
    default: venv
  path:
    description:
      - The environment's directory, or for V(existing) its C(jupyter) program; a leading C(~) is the home directory.
      - For V(conda) the environment's name or, if there is a slash in it, its directory. If empty, V(base).
    type: path
    default: ""
  modules:
    description: Modules to load, in this order, whatever the kind.
    type: list
    elements: str
    default: []
  purge:
    description: Whether to purge the loaded modules first.
    type: bool
    default: false
  prologue:
    description: Lines of bash to run before anything else. This is code, and run as it is.
    type: str
    default: ""
  conda:
    description: The directory or the program of conda, mamba or micromamba. If empty, it is looked for.
    type: path
    default: ""
  command:
    description: The words of the command that Python is started with, such as a container's.
    type: list
    elements: str
    default: []
  wrapper:
    description: Where RV(wrapper) will be. Only for V(command).
    type: path
    default: ""
  packages:
    description: The person's own packages, as pip takes them.
    type: list
    elements: str
    default: []
  python:
    description:
      - The Python to make it with. If empty, the account's best one.
      - For V(command), the Python behind it. If empty, V(python3).
    type: str
    default: ""
  wheelhouse:
    description: A directory on the account with all wheels that are needed. If empty, the package index.
    type: path
    default: ""
  debugger:
    description: Whether debugpy may be in it.
    type: bool
    default: false
  allow_old:
    description: Whether it may have Jupyter packages with known holes. Without it, such an environment is refused.
    type: bool
    default: false
  lock:
    description: The lock file on the account. It may be missing in check mode.
    type: path
  lock_sha256:
    description: The SHA-256 that O(lock) must have.
    type: str
  uv_lock:
    description: The text of a lock file with hashes that lists uv, for accounts that have none.
    type: str
"""

EXAMPLES = r"""
- name: Use the JupyterLab that the site installed
  hpc.jupyter.environment:
    kind: existing
    path: /opt/jupyter

- name: Use the JupyterLab of a container
  hpc.jupyter.environment:
    kind: command
    command: [apptainer, exec, --nv, /opt/images/lab.sif]
    modules: [apptainer]
    wrapper: ~/.local/share/hpc-jupyter/cori/environment-python
"""

RETURN = r"""
environment:
  description: Where it is. In check mode, where it would be. Empty where only the job finds out.
  returned: success
  type: dict
  contains:
    prefix:
      description: Its directory.
      type: str
    bin:
      description: Where its programs are.
      type: str
    python:
      description: Its Python.
      type: str
    versions:
      description: The versions of the packages that matter for security; empty if it is not there yet.
      type: dict
script:
  description: The text of the script that a job sources to get at it.
  returned: success
  type: str
wrapper:
  description: The text of the script that stands for its Python, for O(kind=command), else empty.
  returned: success
  type: str
action:
  description: What was done, or in check mode would be.
  returned: success
  type: str
  sample: nothing, create, update or rebuild
reasons:
  description: Why that was done.
  returned: success
  type: list
  elements: str
"""

import os
from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import activation, environment, packages
from ansible_collections.hpc.jupyter.plugins.module_utils.activation import Activation
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError

ARGUMENTS = {
    "kind": {"type": "str", "choices": list(activation.KINDS), "default": "venv"},
    "path": {"type": "path", "default": ""},
    "modules": {"type": "list", "elements": "str", "default": []},
    "purge": {"type": "bool", "default": False},
    "prologue": {"type": "str", "default": ""},
    "conda": {"type": "path", "default": ""},
    "command": {"type": "list", "elements": "str", "default": []},
    "wrapper": {"type": "path", "default": ""},
    "packages": {"type": "list", "elements": "str", "default": []},
    "python": {"type": "str", "default": ""},
    "wheelhouse": {"type": "path", "default": ""},
    "debugger": {"type": "bool", "default": False},
    "allow_old": {"type": "bool", "default": False},
    "lock": {"type": "path"},
    "lock_sha256": {"type": "str"},
    "uv_lock": {"type": "str"},
}


def main() -> None:
    """Check or make the environment."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("kind", "venv", ("path", "lock", "lock_sha256", "uv_lock")), ("kind", "command", ("wrapper",))],
        supports_check_mode=True,
    )
    try:
        wanted = _activation(module.params)
        activation.check(wanted)
        module.exit_json(**(_venv(module, wanted) if wanted.kind == activation.VENV else _found(module, wanted)))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _activation(params: dict[str, Any]) -> Activation:
    conda = params["kind"] == activation.CONDA
    return Activation(
        kind=params["kind"],
        python=params["python"] if params["kind"] == activation.COMMAND else "",
        modules=tuple(params["modules"]),
        purge=params["purge"],
        prologue=params["prologue"],
        conda=params["conda"],
        name=(params["path"] or "base") if conda else "",
        command=activation.at_home(params["command"]),
        wrapper=params["wrapper"],
        allow_old=params["allow_old"],
    )


def _found(module: AnsibleModule, wanted: Activation) -> dict[str, object]:
    if wanted.kind == activation.EXISTING:
        found = environment.existing(module.params["path"], wanted)
    else:
        found = environment.activated(wanted)
    for text in found.warnings:
        module.warn(text)
    done = {"changed": False, "action": environment.NOTHING, "reasons": []}
    return {**done, **_scripts(wanted, found), "environment": _facts(found)}


def _scripts(wanted: Activation, found: environment.Environment) -> dict[str, object]:
    if wanted.kind in (activation.VENV, activation.EXISTING):
        wanted = replace(wanted, python=found.python, bin=found.bin)
    wrapper = activation.wrapper_text(wanted) if wanted.kind == activation.COMMAND else ""
    return {"script": activation.render(wanted), "wrapper": wrapper}


def _venv(module: AnsibleModule, wanted: Activation) -> dict[str, object]:
    target = packages.Target(_prefix(module.params["path"]), _wheelhouse(module.params["wheelhouse"]))
    wish = _wish(module)
    if wish.debugger:
        module.warn(environment.DEBUGGER.format(name=target.prefix))
    found = environment.look(target.prefix)
    decided = environment.plan(wish, found, prefix=target.prefix)
    base = environment.base_python(decided, wish, found)
    if wanted.does_more:
        activation.try_out(replace(wanted, python=target.python, bin=os.path.dirname(target.python)))
    if decided.action == environment.NOTHING or module.check_mode:
        final = environment.promised(target.prefix, found)
    else:
        locks = {"lock": module.params["lock"], "uv_lock": module.params["uv_lock"]}
        final = environment.make(decided, wish, target, base=base, allow_old=wanted.allow_old, **locks)
    return {
        "changed": decided.action != environment.NOTHING,
        "action": decided.action,
        "reasons": decided.reasons,
        "environment": _facts(final),
        **_scripts(wanted, final),
        "diff": _diff(target.prefix, wish, found, decided, base=base),
    }


def _wish(module: AnsibleModule) -> environment.Wish:
    # Ansible masks these wherever they turn up: in the arguments, in the diff, in what an installer says.
    module.no_log_values.update(packages.secrets(module.params["packages"]))
    packages.check_packages(module.params["packages"])
    return environment.Wish(
        lock_sha256=module.params["lock_sha256"],
        packages=tuple(module.params["packages"]),
        python=module.params["python"],
        debugger=module.params["debugger"],
    )


def _prefix(path: str) -> str:
    if not os.path.isabs(path):
        raise BadInput("jupyter_environment_path", f"{path!r} is relative", hint="Start it with / or ~/")
    return os.path.normpath(path)


def _wheelhouse(path: str) -> str:
    if path and not (os.path.isabs(path) and os.path.isdir(path)):
        raise BadInput("jupyter_environment_wheelhouse", f"there is no directory {path} on this account")
    return path


def _facts(found: environment.Environment) -> dict[str, object]:
    return {name: value for name, value in asdict(found).items() if name != "warnings"}


def _diff(
    prefix: str, wish: environment.Wish, found: environment.Found, decided: environment.Plan, *, base: str
) -> dict[str, str]:
    after = _text({**asdict(wish), "base_python": base, "complete": True})
    if decided.action == environment.NOTHING:
        return {"before": after, "after": after}
    before = "" if found.marker is None else _text(asdict(found.marker))
    why = "".join(f"# {decided.action}: {reason}\n" for reason in decided.reasons)
    return {"before_header": prefix, "after_header": prefix, "before": before, "after": why + after}


def _text(made_of: dict[str, Any]) -> str:
    lines = [
        f"python: {made_of['base_python']}",
        f"lock: {made_of['lock_sha256'][:12]}",
        f"packages: {', '.join(packages.shown(item) for item in made_of['packages'])}",
        f"debugger: {made_of['debugger']}",
        f"complete: {made_of['complete']}",
    ]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()

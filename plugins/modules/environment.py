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
  - Writes C(environment.sh), the script that a job sources to get at it, after that script has been tried on this host.
  - Registers kernels of the account's other environments for sessions of this collection, and only for them. Each must
    have C(ipykernel); that is tried out. The person's own kernels, below C(~/.local/share/jupyter), are not touched.
  - An environment that this module did not make is never changed.
  - Refuses an account on which sessions cannot or should not run, before anything is changed.
author: The hpc.jupyter contributors (@hpc-jupyter)
extends_documentation_fragment:
  - hpc.jupyter.changes
  - hpc.jupyter.home
attributes:
  diff_mode:
    description: Shows of what the environment is and would be made, and each file that would change.
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
      - For V(venv), if empty, C(venv) in O(root).
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
    description:
      - A directory on the account with all wheels that are needed. If empty, the package index, or what O(offline)
        says.
    type: path
    default: ""
  offline:
    description:
      - With V(auto), an account that cannot reach a package index, which is found out within seconds, gets its wheels
        from the controller; with V(always), every one does; with V(never), none.
      - The controller fetches them for the account's Python and platform, keeps them below C(~/.cache/hpc-jupyter), and
        sends what is missing on the account.
    type: str
    choices: [auto, always, never]
    default: auto
  shared:
    description:
      - A directory on the cluster where accounts share those wheels. If empty, or if it cannot be written to, they are
        kept in C(sent-wheels) in O(root) until they are installed.
    type: path
    default: ""
  packages_lock:
    description: What O(packages) come to, as a lock file with hashes. The action sets it together with O(wheelhouse).
    type: str
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
    description: The text of the lock file with hashes.
    type: str
  uv_lock:
    description: The text of a lock file with hashes that lists uv, for accounts that have none.
    type: str
  kernels:
    description: The kernels that sessions shall have beside those of this environment; others of ours are removed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The kernel's name, in small letters.
        type: str
        required: true
      path:
        description: The environment's directory, absolute or starting with C(~/). Its Python is C(bin/python) there.
        type: str
      python:
        description: The environment's Python, instead of O(kernels[].path).
        type: str
      display_name:
        description: What Jupyter shows. If empty, the name.
        type: str
"""

EXAMPLES = r"""
- name: Use the JupyterLab that the site installed
  hpc.jupyter.environment:
    root: ~/.local/share/hpc-jupyter/cori
    kind: existing
    path: /opt/jupyter
    kernels:
      - name: thesis
        path: ~/envs/thesis

- name: Use the JupyterLab of a container
  hpc.jupyter.environment:
    root: ~/.local/share/hpc-jupyter/cori
    kind: command
    command: [apptainer, exec, --nv, /opt/images/lab.sif]
    modules: [apptainer]
"""

RETURN = r"""
root:
  description: The account's directory, as an absolute path.
  returned: success
  type: str
  sample: /home/alice/.local/share/hpc-jupyter/cori
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
action:
  description: What was done, or in check mode would be.
  returned: success
  type: str
  sample: nothing, create, update or rebuild
offline:
  description: What was done for want of a package index, in words; empty if nothing was.
  returned: success
  type: str
wheels_wanted:
  description: What the controller needs to know to make the wheels. The action takes it out again.
  returned: when O(offline) applies
  type: dict
reasons:
  description: Why that was done.
  returned: success
  type: list
  elements: str
"""

import hashlib
import os
import shutil
from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hpc.jupyter.plugins.module_utils import (
    account,
    activation,
    changes,
    environment,
    interpreters,
    kernels,
    made_environment,
    packages,
)
from ansible_collections.hpc.jupyter.plugins.module_utils.activation import Activation
from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.files import write_private
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout

_KERNEL = {
    "name": {"type": "str", "required": True},
    "path": {"type": "str"},
    "python": {"type": "str"},
    "display_name": {"type": "str"},
}
ARGUMENTS = {
    "root": {"type": "str", "required": True},
    "allow_root": {"type": "bool", "default": False},
    "kind": {"type": "str", "choices": list(activation.KINDS), "default": "venv"},
    "path": {"type": "path", "default": ""},
    "modules": {"type": "list", "elements": "str", "default": []},
    "purge": {"type": "bool", "default": False},
    "prologue": {"type": "str", "default": ""},
    "conda": {"type": "path", "default": ""},
    "command": {"type": "list", "elements": "str", "default": []},
    "packages": {"type": "list", "elements": "str", "default": []},
    "python": {"type": "str", "default": ""},
    "wheelhouse": {"type": "path", "default": ""},
    "offline": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "shared": {"type": "path", "default": ""},
    "packages_lock": {"type": "str", "default": ""},
    "debugger": {"type": "bool", "default": False},
    "allow_old": {"type": "bool", "default": False},
    # no secret, but too long for the account's system log
    "lock": {"type": "str", "no_log": True},
    "uv_lock": {"type": "str"},
    "kernels": {"type": "list", "elements": "dict", "default": [], "options": _KERNEL},
}


def main() -> None:
    """Check or make the environment, and say to the job where it is."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_if=[("kind", "venv", ("lock", "uv_lock"))], supports_check_mode=True
    )
    try:
        module.exit_json(**_run(module))
    except (HpcJupyterError, OSError) as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> dict[str, Any]:
    layout = account.layout(module.params["root"])
    account.check_usable(layout, allow_root=module.params["allow_root"], probe=not module.check_mode)
    wanted = _activation(module.params, layout)
    activation.check(wanted)
    # The kernels first: they are quick, and what is wrong with them should not be said only after a minute.
    before = _do(module, [*account.directories(layout, sessions=False), *_kernels(module, layout)])
    wanted, done = _venv(module, layout, wanted) if wanted.kind == activation.VENV else _found(module, wanted)
    after = _do(module, _scripts(layout, wanted))
    diff = [*changes.diff(before), *done.pop("diff"), *changes.diff(after)]
    return {**done, "changed": bool(before or after) or done["changed"], "root": layout.root, "diff": diff}


def _do(module: AnsibleModule, planned: list[Change]) -> list[Change]:
    if not module.check_mode:
        changes.apply(planned)
    return planned


def _kernels(module: AnsibleModule, layout: Layout) -> list[Change]:
    wanted = kernels.build(module.params["kernels"])
    for kernel in wanted:
        kernels.verify(kernel)
    return kernels.plan(layout, wanted)


def _activation(params: dict[str, Any], layout: Layout) -> Activation:
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
        wrapper=layout.environment_python,
        allow_old=params["allow_old"],
    )


def _found(module: AnsibleModule, wanted: Activation) -> tuple[Activation, dict[str, Any]]:
    if wanted.kind == activation.EXISTING:
        found = environment.existing(module.params["path"], wanted)
        wanted = replace(wanted, python=found.python, bin=found.bin)
    else:
        found = environment.activated(wanted)
    for text in found.warnings:
        module.warn(text)
    done = {"changed": False, "action": environment.NOTHING, "reasons": [], "offline": "", "diff": []}
    return wanted, {**done, "environment": _facts(found)}


def _scripts(layout: Layout, wanted: Activation) -> list[Change]:
    """``environment.sh``, and for a command the script that stands for its Python."""
    wrapper: list[Change] = []
    if wanted.kind == activation.COMMAND:
        wrapper = changes.file(wanted.wrapper, activation.wrapper_text(wanted), bits=0o700)
    return [*wrapper, *changes.file(layout.environment_script, activation.render(wanted))]


def _venv(module: AnsibleModule, layout: Layout, wanted: Activation) -> tuple[Activation, dict[str, Any]]:
    prefix = _prefix(module.params["path"] or os.path.join(layout.root, "venv"))
    target = packages.Target(prefix, _wheelhouse(module.params["wheelhouse"]))
    wanted = replace(wanted, python=target.python, bin=os.path.dirname(target.python))
    wish = _wish(module)
    if wish.debugger:
        module.warn(environment.DEBUGGER.format(name=target.prefix))
    found = environment.look(target.prefix)
    decided = environment.plan(wish, found, prefix=target.prefix)
    base = environment.base_python(decided, wish, found)
    if wanted.does_more:
        activation.try_out(wanted)
    if decided.action == environment.NOTHING or module.check_mode:
        final = environment.promised(target.prefix, found)
    else:
        _check_index(module, layout, wish, base=base)
        locks = {"lock": _lock(module, layout), "uv_lock": module.params["uv_lock"]}
        locks["more_lock"] = module.params["packages_lock"]
        final = environment.make(decided, wish, target, base=base, allow_old=wanted.allow_old, **locks)
        if target.wheelhouse == _own_place(layout):  # a home's quota is small
            shutil.rmtree(target.wheelhouse, ignore_errors=True)
    is_new = bool(module.params["path"]) and layout.root not in made_environment.users(prefix)
    if is_new and not module.check_mode:
        made_environment.use(prefix, layout.root)
    return wanted, {
        "changed": decided.action != environment.NOTHING or is_new,
        "action": decided.action,
        "reasons": decided.reasons,
        "offline": "",
        "environment": _facts(final),
        "diff": [_diff(target.prefix, wish, found, decided, base=base)],
    }


def _lock(module: AnsibleModule, layout: Layout) -> str:
    """Where the installer finds the lock file."""
    path = os.path.join(layout.root, "requirements.txt")
    write_private(path, module.params["lock"].encode())
    return path


def _check_index(module: AnsibleModule, layout: Layout, wish: environment.Wish, *, base: str) -> None:
    """End here where the wheels have to come from the controller, before anything is made."""
    why = _no_index(module)
    if why:
        module.exit_json(changed=False, wheels_wanted=_wheels_wanted(module, layout, wish, base=base, why=why))


def _no_index(module: AnsibleModule) -> str:
    """In words why the account gets its wheels from the controller; empty if it does not."""
    if module.params["wheelhouse"] or module.params["offline"] == "never":
        return ""
    if module.params["offline"] == "always":
        return "jupyter_environment_offline is always"
    from ansible_collections.hpc.jupyter.plugins.module_utils import package_index  # with all that speaks HTTP

    return package_index.unreachable(package_index.configured(os.environ))


def _wheels_wanted(
    module: AnsibleModule, layout: Layout, wish: environment.Wish, *, base: str, why: str
) -> dict[str, object]:
    markers, glibc = interpreters.markers(base)
    places = [place for place in (module.params["shared"], _own_place(layout)) if place]
    return {"markers": markers, "glibc": glibc, "why": why, "places": places, "debugger": wish.debugger}


def _own_place(layout: Layout) -> str:
    return os.path.join(layout.root, "sent-wheels")


def _wish(module: AnsibleModule) -> environment.Wish:
    # Ansible masks these wherever they turn up: in the arguments, in the diff, in what an installer says.
    module.no_log_values.update(packages.secrets(module.params["packages"]))
    packages.check_packages(module.params["packages"])
    return environment.Wish(
        lock_sha256=hashlib.sha256(module.params["lock"].encode()).hexdigest(),
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

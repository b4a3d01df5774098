# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels of the account's other environments, by name, in a directory of our own that only our sessions see."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import changes, interpreters
from ansible_collections.hpc.jupyter.plugins.module_utils.changes import Change
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout

_VARIABLE = "jupyter_environment_kernels"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_RESERVED = ("python3",)
"""What the environment's own kernel is called."""


@dataclass(frozen=True)
class Kernel:
    """One environment's kernel; ``python`` is an absolute path."""

    name: str
    python: str
    display_name: str

    def to_json(self) -> str:
        """What Jupyter reads; the environment's own programs come first in the kernel."""
        directory = os.path.dirname(self.python).replace("$", "$$")
        spec = {
            "argv": [self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": self.display_name,
            "language": "python",
            # what a module sets for its own Python would lead this one astray; empty is as if unset
            "env": {"PATH": f"{directory}:${{PATH}}", "PYTHONHOME": "", "PYTHONPATH": ""},
            # While one debugs, other users of the node could run code in the kernel.
            "metadata": {"debugger": False},
        }
        return json.dumps(spec, indent=2) + "\n"


def build(values: Sequence[Mapping[str, Any]]) -> list[Kernel]:
    """The kernels that a list of ``name``, ``path`` or ``python``, and ``display_name`` describes."""
    kernels = [_kernel(value) for value in values]
    names = [kernel.name for kernel in kernels]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(_VARIABLE, f"{name!r} is there twice", hint="Give each kernel a name of its own")
    return kernels


def _kernel(value: Mapping[str, Any]) -> Kernel:
    name, path, python = (str(value.get(key) or "") for key in ("name", "path", "python"))
    if _NAME.fullmatch(name) is None or name in _RESERVED:
        hint = "Use up to 64 small letters, digits, '.', '_' or '-', a letter or digit first, and not python3"
        raise BadInput(_VARIABLE, f"{name!r} cannot be a kernel's name", hint=hint)
    if bool(path) == bool(python):
        hint = "Write the environment's directory as path, or its Python as python"
        raise BadInput(_VARIABLE, f"{name} has {'both path and python' if path else 'no path'}", hint=hint)
    given = path or python
    if not given.startswith(("/", "~/")) or any(ord(char) < 32 for char in given):
        raise BadInput(_VARIABLE, f"{name}: {given!r} is relative", hint="Start it with / or ~/")
    place = os.path.expanduser(given)
    title = str(value.get("display_name") or "") or name
    return Kernel(name, os.path.join(place, "bin", "python") if path else place, title)


def verify(kernel: Kernel) -> None:
    """Raise ``HpcJupyterError`` unless its Python runs and has ipykernel."""
    if not os.access(kernel.python, os.X_OK):
        raise HpcJupyterError(f"{_VARIABLE}: {kernel.name}: there is no Python at {kernel.python} on this account")
    found = interpreters.installed(kernel.python, modules=("ipykernel",), packages=("ipykernel",), isolated=False)
    if isinstance(found, str):
        raise HpcJupyterError(f"{_VARIABLE}: {kernel.name}: {found}")
    if found.problems:
        raise HpcJupyterError(
            f"{_VARIABLE}: {kernel.name}: {kernel.python} cannot be a kernel ({found.problems['ipykernel']}). "
            f"Install ipykernel there: {kernel.python} -m pip install ipykernel"
        )


def plan(layout: Layout, kernels: Sequence[Kernel]) -> list[Change]:
    """What makes the directory hold ``kernels`` and no other."""
    wanted = {kernel.name: kernel.to_json() for kernel in kernels}
    there = os.listdir(layout.kernels) if os.path.isdir(layout.kernels) else []
    gone = sorted(name for name in there if name not in wanted and os.path.exists(_spec(layout, name)))
    return [*(change for name in sorted(wanted) for change in _registered(layout, name, wanted[name])),
            *(_removed(layout, name) for name in gone)]  # fmt: skip


def _registered(layout: Layout, name: str, content: str) -> list[Change]:
    path = _spec(layout, name)
    private = [*changes.directory(layout.kernels), *changes.directory(os.path.dirname(path))]
    return [replace(each, make=partial(changes.apply, [*private, each])) for each in changes.file(path, content)]


def _removed(layout: Layout, name: str) -> Change:
    path = _spec(layout, name)
    return Change(path, changes.text(path), "", partial(shutil.rmtree, os.path.dirname(path)))


def _spec(layout: Layout, name: str) -> str:
    return os.path.join(layout.kernels, name, "kernel.json")

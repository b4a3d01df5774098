# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Pythons an account has, and what is installed for one of them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from typing import Any, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import pythons
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result, run

OLDEST = (3, 10)
"""JupyterLab without known holes needs it."""
PREFERRED = (3, 11)
"""From here on the lock has the newest releases."""
NEWEST = (3, 14)
"""What the lock's packages have wheels for."""

_MARK = "hpc-jupyter:"
_ABOUT = f"""
import importlib.util, json, sys
base = getattr(sys, "_base_executable", None) or sys.executable
can = importlib.util.find_spec("ensurepip") is not None
print("{_MARK}" + json.dumps([base, sys.version_info[:3], can]))
"""
_INSTALLED = f"""
import sys
sys.path = [entry for entry in sys.path if entry]
import json
from importlib import import_module, metadata
problems, versions = {{}}, {{}}
# jsonschema does without it, and builds a grammar for more than a second when it is there
sys.modules["rfc3987_syntax"] = None
for name in sys.argv[1].split(","):
    try:
        import_module(name)
    except BaseException as error:
        problems[name] = type(error).__name__ + ": " + str(error)
for name in sys.argv[2].split(","):
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print("{_MARK}" + json.dumps([sys.version.split()[0], problems, versions]))
"""


_MARKERS = f"""
import json, os, platform, sys
release = platform.python_version()
glibc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
print("{_MARK}" + json.dumps([{{
    "implementation_name": sys.implementation.name, "implementation_version": release, "os_name": os.name,
    "platform_machine": platform.machine(), "platform_python_implementation": platform.python_implementation(),
    "platform_release": platform.release(), "platform_system": platform.system(),
    "platform_version": platform.version(), "python_full_version": release,
    "python_version": ".".join(platform.python_version_tuple()[:2]), "sys_platform": sys.platform,
}}, (glibc or "").split(" ")[-1]]))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python that is not a virtual environment's own; ``has_pip`` says that it can make one with pip in it."""

    path: str
    version: tuple[int, ...]
    has_pip: bool

    def __str__(self) -> str:
        return f"{self.path} ({'.'.join(str(part) for part in self.version)})"


@dataclass(frozen=True)
class Installed:
    """What one environment's Python can import, by the versions of its distributions."""

    version: str
    problems: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def find(wanted: str) -> Interpreter:
    """The Python to make an environment with; raises ``BadInput`` or ``HpcJupyterError``.

    ``wanted`` is a path or a command; empty looks for the account's best one.
    """
    if wanted:
        return _wanted(wanted)
    seen = [about for about in (inspect(path) for path in _candidates()) if about is not None]
    fitting = _fitting(seen) or _fitting(_searched())
    if not fitting:
        found = ", ".join(sorted({str(about) for about in seen}))
        raise HpcJupyterError(
            f"JupyterLab needs Python {pythons.dotted(OLDEST)} or newer, and this account has only {found or 'none'}. "
            f"Looked for in {pythons.LOOKED_AT}. "
            "Name one with jupyter_environment_python, or ask the site which module brings one"
        )
    return max(fitting, key=lambda about: (about.has_pip, about.version[:2] >= PREFERRED))


def inspect(path: str) -> Interpreter | None:
    """What the Python at ``path`` says about itself; ``None`` if it does not run."""
    answer = _answer(_python([path, "-I", "-c", _ABOUT], timeout_seconds=30))
    return None if answer is None else Interpreter(answer[0], tuple(answer[1]), answer[2])


def markers(python: str) -> tuple[dict[str, str], str]:
    """The values of ``python`` for the markers of requirements, and its glibc's version, empty if it has another libc.

    Raises ``HpcJupyterError`` if it does not run.
    """
    answer = _answer(_python([python, "-I", "-c", _MARKERS], timeout_seconds=30))
    if answer is None:
        raise HpcJupyterError(f"{python} does not run")
    return answer[0], answer[1]


def installed(python: str, *, modules: Sequence[str], packages: Sequence[str], isolated: bool) -> Installed | str:
    """What ``python`` can import, or in words why it does not run at all.

    ``isolated`` ignores PYTHONPATH and packages below the home directory.
    """
    flags = ["-I"] if isolated else []
    result = _python([python, *flags, *question(modules=modules, packages=packages)], timeout_seconds=180)
    return result if isinstance(result, str) else answered(result, name=python)


def question(*, modules: Sequence[str], packages: Sequence[str]) -> list[str]:
    """The arguments that make a Python say what it can import."""
    return ["-c", _INSTALLED, ",".join(modules), ",".join(packages)]


def answered(result: Result, *, name: str) -> Installed | str:
    """What it said to that, or in words why it did not."""
    answer = _answer(result)
    if answer is None:
        lines = result.err.strip().splitlines()
        return f"{name} does not run: {lines[-1] if lines else f'it ended with {result.code}'}"
    return Installed(*answer)


def _wanted(wanted: str) -> Interpreter:
    about = inspect(os.path.expanduser(wanted))
    if about is None:
        raise BadInput("jupyter_environment_python", f"{wanted!r} is not a Python that runs on this account")
    if about.version[:2] < OLDEST:
        needed = f"JupyterLab needs {pythons.dotted(OLDEST)} or newer"
        raise BadInput("jupyter_environment_python", f"{about} is too old", hint=needed)
    return about


def _fitting(seen: Sequence[Interpreter]) -> list[Interpreter]:
    return [about for about in seen if OLDEST <= about.version[:2] <= NEWEST]


def _searched() -> list[Interpreter]:
    """What is neither on PATH nor where everybody has it; this takes seconds where there are modules."""
    result = _python(pythons.command(oldest=OLDEST, newest=NEWEST, deep=True), timeout_seconds=120)
    good = None if isinstance(result, str) else pythons.found(result.out).good
    about = inspect(good.path) if good else None
    return [about] if about else []


def _candidates() -> list[str]:
    """Pythons that may be there; the plain ``python3`` first, since it lives longest."""
    names = ["python3", *(f"python3.{minor}" for minor in (12, 13, 11, 14, 10))]
    places = os.pathsep.join(["/usr/bin", "/usr/local/bin", os.path.expanduser("~/.local/bin")])
    found = [shutil.which(name, path=path) for name in names for path in (places, None)]
    return list(dict.fromkeys([path for path in found if path] + [sys.executable]))


def _python(argv: list[str], *, timeout_seconds: float) -> Result | str:
    try:
        return run(argv, timeout_seconds=timeout_seconds)
    except OSError as error:
        return f"{argv[0]} does not run: {error}"


def _answer(result: Result | str) -> list[Any] | None:
    if isinstance(result, str) or result.code != 0:
        return None
    marked = [line[len(_MARK):] for line in result.out.splitlines() if line.startswith(_MARK)]
    if not marked:
        return None
    answer = json.loads(marked[-1])
    return answer if isinstance(answer, list) else None

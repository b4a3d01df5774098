# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs packages into a virtual environment: with uv where the account has it, else with pip."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.installers import bundled_pip, command, find_uv, unpack_uv
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result

INSTALL_SECONDS = 1800
NO_DEBUGPY = 'debugpy; python_version < "0"\n'
"""An override that leaves out the debugger's listener, which every user of the node can reach."""

_COMPILED = ("--compile-bytecode",)
"""For uv; pip does so unasked."""
_LOCKED = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
_PIN = re.compile(r"^(?P<pin>[A-Za-z0-9][A-Za-z0-9._-]*==[^\s;]+(?:\s*;[^\\]*)?)", re.MULTILINE)
_PASSWORD = re.compile(r"//(?:[^/@\s:]*:)?(?P<password>[^/\s]+)@")


@dataclass(frozen=True)
class Target:
    """The virtual environment that packages go into; ``wheelhouse`` empty means the package index."""

    prefix: str
    wheelhouse: str = ""

    @property
    def python(self) -> str:
        """Its own Python."""
        return os.path.join(self.prefix, "bin", "python")

    @property
    def _source(self) -> list[str]:
        return ["--no-index", "--find-links", self.wheelhouse] if self.wheelhouse else []

    @property
    def _has_pip(self) -> bool:
        return os.path.exists(os.path.join(self.prefix, "bin", "pip"))

    def make(self, base: str) -> None:
        """Make it with the Python ``base``, empty."""
        made = command([base, "-m", "venv", "--without-pip", self.prefix], timeout_seconds=300)
        if made.code == 0:
            return
        uv = find_uv(self.prefix)
        if uv is None:
            raise HpcJupyterError(
                f"{base} cannot make a virtual environment: {_words(made)}. "
                "Its venv module must be there (on Debian: python3-venv), or uv on the account"
            )
        made = command([uv, "venv", "--no-config", "--no-cache", "--allow-existing", "--python", base, self.prefix],
                       timeout_seconds=300)
        if made.code != 0:
            raise HpcJupyterError(f"uv cannot make a virtual environment with {base}: {_words(made)}")

    def install_lock(self, lock: str, *, uv_lock: str) -> None:
        """Install exactly what ``lock`` lists, every file checked against its hash, nothing built from source.

        The person gets the pip that comes with the environment's Python, too. ``uv_lock`` is the text of a lock that
        lists uv.
        """
        self._bootstrap(uv_lock)
        self._install([*_LOCKED, "-r", lock])
        wheel = "" if self._has_pip else bundled_pip(self.python)
        if wheel:
            with contextlib.suppress(HpcJupyterError):  # sessions do without
                self._install(["--no-deps", wheel], only_uv=())

    def install_more_lock(self, lock_text: str) -> None:
        """Install the person's own packages as they were settled elsewhere, with all that they need."""
        with tempfile.TemporaryDirectory(prefix="hpcj-") as scratch:
            self._install([*_LOCKED, "-r", _write(scratch, "packages.txt", lock_text)])

    def install_more(self, packages: Sequence[str], *, lock: str, debugger: bool) -> None:
        """Install the person's own packages and leave the versions of ``lock`` as they are."""
        with tempfile.TemporaryDirectory(prefix="hpcj-") as scratch:
            # A file, since an address among the packages may hold a password.
            wanted = _write(scratch, "packages.txt", "".join(f"{item}\n" for item in packages))
            pins = _write(scratch, "constraints.txt", constraints(_read(lock)))
            override = _write(scratch, "overrides.txt", NO_DEBUGPY)
            only_uv = [] if debugger else ["--override", override]
            self._install(["--constraint", pins, "-r", wanted], only_uv=[*_COMPILED, *only_uv])

    def remove(self, package: str) -> None:
        """Uninstall ``package`` if it is there; pip has no override that would keep it out."""
        for argv in self._installers("uninstall", only_pip=["--yes"]):
            if command([*argv, package], timeout_seconds=INSTALL_SECONDS).code == 0:
                return

    def _bootstrap(self, uv_lock: str) -> None:
        """Get uv into the environment: it installs in a tenth of the time. Without it, pip does."""
        if find_uv(self.prefix) or (self.wheelhouse and unpack_uv(self.wheelhouse, uv_lock, self.prefix)):
            return
        pip = self._pip("install")
        if pip:
            with tempfile.TemporaryDirectory(prefix="hpcj-") as scratch:
                locked = [*_LOCKED, "-r", _write(scratch, "uv.txt", uv_lock)]
                command([*pip, *self._source, *locked], timeout_seconds=300)

    def _install(self, what: list[str], *, only_uv: Sequence[str] = _COMPILED) -> None:
        problem = (
            "the account has no uv, and its Python comes without pip. Install one of them (on Debian: python3-venv)"
        )
        for argv in self._installers("install", only_uv=only_uv):
            result = command([*argv, *self._source, *what], timeout_seconds=INSTALL_SECONDS)
            if result.code == 0:
                return
            problem = _words(result)
        raise HpcJupyterError(f"the packages could not be installed in {self.prefix}: {problem}")

    def _installers(
        self, verb: str, *, only_uv: Sequence[str] = (), only_pip: Sequence[str] = ()
    ) -> list[list[str]]:
        """uv, if it can be had, then pip: a site may have told only pip where its package index is."""
        uv, pip = find_uv(self.prefix), self._pip(verb)
        with_uv = [uv, "pip", verb, "--no-cache", "--python", self.python, *only_uv] if uv else []
        return [argv for argv in (with_uv, [*pip, *only_pip] if pip else []) if argv]

    def _pip(self, verb: str) -> list[str]:
        """The command of its own pip, else of the one that comes with its Python; empty if there is neither."""
        wheel = "" if self._has_pip else bundled_pip(self.python)
        if not (self._has_pip or wheel):
            return []
        program = [os.path.join(wheel, "pip")] if wheel else ["-m", "pip"]
        cache = ["--no-cache-dir"] if verb == "install" else []
        return [self.python, "-I", *program, "--disable-pip-version-check", "--no-input", verb, *cache]


def check_packages(packages: Sequence[str]) -> None:
    """Refuse what a requirements file would take for an option or for several lines."""
    for package in packages:
        if not package.strip() or package.lstrip().startswith(("-", "#")) or any(ord(char) < 32 for char in package):
            raise BadInput(
                "jupyter_environment_packages", f"{package!r} is not a package",
                hint="Write one a list item, such as numpy or pandas>=2",
            )


def secrets(packages: Sequence[str]) -> set[str]:
    """The passwords in the addresses among ``packages``, such as ``tool @ https://me:password@host/tool.whl``."""
    return {match["password"] for package in packages for match in _PASSWORD.finditer(package)}


def shown(package: str) -> str:
    """``package`` as it may be shown: without the password in its address."""
    return _PASSWORD.sub(lambda match: match[0].replace(match["password"], "********"), package)


def constraints(lock: str) -> str:
    """The versions in ``lock`` without its hashes, which would be asked of every other package too."""
    return "".join(f"{match['pin'].strip()}\n" for match in _PIN.finditer(lock))


def _words(result: Result) -> str:
    if result.timed_out:
        return "it took too long and was stopped"
    lines = [line.strip() for line in (result.err.strip() or result.out.strip()).splitlines() if line.strip()]
    return "; ".join(lines[-6:]) or f"it ended with {result.code} and said nothing"


def _write(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()

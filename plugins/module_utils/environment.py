# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that sessions run JupyterLab from: one that we make, or one that is there.

What we make carries a marker that says of what it was made; without the marker nothing is ever changed.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace

from ansible_collections.hpc.jupyter.plugins.module_utils import activation, floors, interpreters, packages
from ansible_collections.hpc.jupyter.plugins.module_utils.activation import Activation
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.made_environment import (
    Marker,
    clear,
    made_for,
    read_marker,
    write_marker,
)

MODULES = ("jupyterlab", "jupyter_server", "ipykernel", "tornado")
_ASKED = (*floors.FLOORS, *floors.INTERFACES, "debugpy")
FIRST_SERVER = (2, 14)
"""The first jupyter_server with all settings that a session is secured with."""

DEBUGGER = "{name} has debugpy: while you debug, other users of the node can run code in your kernel"

_NOTHING_BEFORE = Activation(activation.EXISTING)

NOTHING = "nothing"
CREATE = "create"
UPDATE = "update"
REBUILD = "rebuild"


@dataclass(frozen=True)
class Wish:
    """What the virtual environment should be made of; ``python`` empty is whichever is found."""

    lock_sha256: str
    packages: tuple[str, ...] = ()
    python: str = ""
    debugger: bool = False


@dataclass(frozen=True)
class Found:
    """What is at the environment's path; ``python`` is what its Python says, or in words why it does not."""

    exists: bool = False
    empty: bool = True
    marker: Marker | None = None
    python: interpreters.Installed | str = ""


@dataclass(frozen=True)
class Plan:
    """What is to be done, and why."""

    action: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """An environment that can run JupyterLab."""

    prefix: str
    bin: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def plan(wish: Wish, found: Found, *, prefix: str) -> Plan:
    """What makes ``found`` what ``wish`` says; raises ``HpcJupyterError`` if it is not ours to change."""
    if not found.exists or (found.marker is None and found.empty):
        return Plan(CREATE, ("there is none yet",))
    if found.marker is None:
        raise HpcJupyterError(
            f"{prefix} is there already and was not made by hpc.jupyter, so it is left alone. To use it, set "
            "jupyter_environment_kind to existing; to have one made, set jupyter_environment_path to another place"
        )
    broken = _broken(wish, found.marker, found.python)
    if broken:
        return Plan(REBUILD, tuple(broken))
    stale = _stale(wish, found.marker, found.python)
    return Plan(UPDATE, tuple(stale)) if stale else Plan(NOTHING)


def _broken(wish: Wish, marker: Marker, python: interpreters.Installed | str) -> list[str]:
    if wish.python and wish.python != marker.wanted_python:
        return [f"it should be made with {wish.python}"]
    if isinstance(python, str):
        return [python]
    if not marker.complete:
        return ["its installation was cut off"]
    return [f"{name} cannot be imported ({problem})" for name, problem in python.problems.items()]


def _stale(wish: Wish, marker: Marker, python: interpreters.Installed | str) -> list[str]:
    versions = {} if isinstance(python, str) else python.versions
    reasons = floors.below(versions, floors.LOCKED)
    if wish.lock_sha256 != marker.lock_sha256:
        reasons.append("hpc.jupyter comes with other versions of its packages")
    if wish.packages != marker.packages:
        reasons.append("other packages of your own are asked for")
    if wish.debugger != marker.debugger:
        reasons.append("the debugger is asked for" if wish.debugger else "the debugger is not asked for any more")
    elif "debugpy" in versions and not wish.debugger:
        reasons.append("debugpy has been installed, and with it other users of a node can get into a kernel")
    return reasons


def look(prefix: str) -> Found:
    """What is at ``prefix``; raises ``HpcJupyterError`` if that is no directory of this account."""
    try:
        entries = os.listdir(prefix)
    except FileNotFoundError:
        return Found()
    except NotADirectoryError:
        raise HpcJupyterError(f"{prefix} is in the way: it is not a directory") from None
    if os.stat(prefix).st_uid != os.geteuid():
        raise HpcJupyterError(f"{prefix} belongs to another user")
    marker = read_marker(prefix)
    python = "" if marker is None else _installed(packages.Target(prefix).python, isolated=True)
    return Found(exists=True, empty=not entries, marker=marker, python=python)


def base_python(decided: Plan, wish: Wish, found: Found) -> str:
    """The Python that the environment is or will be made with; raises if there is none that can."""
    if decided.action in (CREATE, REBUILD) or found.marker is None:
        return interpreters.find(wish.python).path
    return found.marker.base_python


def make(
    decided: Plan, wish: Wish, target: packages.Target, *, base: str, lock: str, uv_lock: str, more_lock: str = "",
    allow_old: bool = False,
) -> Environment:
    """Carry out ``decided``; the marker is complete only once everything is in place.

    ``more_lock`` is what the person's own packages come to, where that was settled elsewhere.
    """
    marker = Marker(wish.lock_sha256, wish.packages, wish.python, base, wish.debugger)
    marker = replace(marker, directories=made_for(target.prefix))
    if decided.action != UPDATE:
        clear(target.prefix)
    write_marker(target.prefix, marker)
    if decided.action != UPDATE:
        target.make(base)
    target.install_lock(lock, uv_lock=uv_lock)
    # From here on it is of use, and what goes wrong with the person's own packages is no reason to make it anew.
    write_marker(target.prefix, replace(marker, packages=(), debugger=False, complete=True))
    more = [*wish.packages, *(["debugpy"] if wish.debugger else [])]
    if more_lock:
        target.install_more_lock(more_lock)
    elif more:
        target.install_more(more, lock=lock, debugger=wish.debugger)
    if not wish.debugger and (more or decided.action == UPDATE):  # the lock has none
        target.remove("debugpy")
    made = verify(target.prefix, allow_old=allow_old)
    write_marker(target.prefix, replace(marker, complete=True))
    return made


def verify(prefix: str, *, allow_old: bool = False) -> Environment:
    """The virtual environment at ``prefix``, proven to import JupyterLab; raises ``HpcJupyterError``."""
    python = packages.Target(prefix).python
    found = _installed(python, isolated=True)
    return _usable(f"at {prefix}", python, found, isolated=True, allow_old=allow_old)


def promised(prefix: str, found: Found) -> Environment:
    """The virtual environment at ``prefix``, as it was found or will be."""
    python = packages.Target(prefix).python
    versions = {} if isinstance(found.python, str) else found.python.versions
    return Environment(prefix, os.path.dirname(python), python, versions)


def existing(path: str, before: Activation = _NOTHING_BEFORE) -> Environment:
    """The environment at ``path``: its directory, or its ``jupyter``; raises ``HpcJupyterError``.

    ``before`` is what the job does before it starts it: some need a module's libraries.
    """
    if not path:
        raise BadInput(
            "jupyter_environment_path", "is empty", hint="Write the environment's directory, or its jupyter program"
        )
    place = os.path.abspath(os.path.expanduser(path))
    if not os.path.lexists(place):
        raise HpcJupyterError(f"no JupyterLab at {path}: there is no such file or directory on this account")
    directory = os.path.join(place, "bin") if os.path.isdir(place) else os.path.dirname(place)
    if not os.access(os.path.join(directory, "jupyter"), os.X_OK):
        raise HpcJupyterError(f"no JupyterLab at {path}: there is no jupyter program in {directory}")
    python = _python_of(directory)
    if before.does_more:
        found = _asked(replace(before, python=python, bin=directory), name=python)
    else:
        found = _installed(python, isolated=False)
    usable = _usable(f"at {path}", python, found, isolated=False, allow_old=before.allow_old)
    return replace(usable, prefix=os.path.dirname(directory), bin=directory)


def activated(wanted: Activation) -> Environment:
    """The environment that modules, conda or a command bring, as the job will find it; raises ``HpcJupyterError``."""
    found = _asked(wanted, name="its Python")
    usable = _usable(f"in {wanted.title}", "", found, isolated=False, allow_old=wanted.allow_old)
    return replace(usable, prefix="", bin="", python=wanted.wrapper)


def _asked(wanted: Activation, *, name: str) -> interpreters.Installed | str:
    """What the Python that ``wanted`` starts can import."""
    question = interpreters.question(modules=MODULES, packages=_ASKED)
    return interpreters.answered(activation.try_out(wanted, question), name=name)


def _usable(
    where: str, python: str, found: interpreters.Installed | str, *, isolated: bool, allow_old: bool
) -> Environment:
    name = where.partition(" ")[2]
    if isinstance(found, str):
        raise HpcJupyterError(f"no JupyterLab {where}: {found}")
    if found.problems:
        problems = "; ".join(f"{module} cannot be imported ({text})" for module, text in found.problems.items())
        raise HpcJupyterError(f"no JupyterLab {where}: {problems}")
    server = found.versions.get("jupyter-server", "0")
    if floors.release(server) < FIRST_SERVER:
        raise HpcJupyterError(
            f"the JupyterLab {where} is too old: it has jupyter_server {server}, "
            f"and sessions can be secured only from {floors.dotted(FIRST_SERVER)} on"
        )
    old = floors.below(found.versions, floors.FLOORS)
    if old and not allow_old:
        raise HpcJupyterError(f"the JupyterLab {where} is too old: {'; '.join(old)}. {floors.REMEDY}")
    old += floors.below(found.versions, floors.INTERFACES)
    warnings = [f"{text}: update {name}" for text in old]
    if "debugpy" in found.versions and not isolated:
        warnings.append(DEBUGGER.format(name=name))
    directory = os.path.dirname(python)
    return Environment(os.path.dirname(directory), directory, python, found.versions, tuple(warnings))


def _python_of(directory: str) -> str:
    """The Python that runs ``jupyter`` in ``directory``: the one beside it, or the one its first line names."""
    for name in ("python", "python3"):
        beside = os.path.join(directory, name)
        if os.access(beside, os.X_OK) and directory not in ("/usr/bin", "/usr/local/bin"):
            return beside
    with open(os.path.join(directory, "jupyter"), "rb") as stream:
        first = stream.readline(4096).decode("utf-8", "replace").strip()
    words = first[2:].split() if first.startswith("#!") else []
    python = (words[-1] if words[-1:] and words[0].endswith("/env") else words[0]) if words else "python3"
    return python if os.path.isabs(python) else shutil.which(python) or python


def _installed(python: str, *, isolated: bool) -> interpreters.Installed | str:
    return interpreters.installed(python, modules=MODULES, packages=_ASKED, isolated=isolated)

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script ``environment.sh``, which the job sources before anything else, and what it does on this host.

It must set ``HPC_JUPYTER_PYTHON``, or end the job with a line that says why it cannot. Every value in it is quoted;
only the prologue is code.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from dataclasses import dataclass, replace
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import floors
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result, run

VENV = "venv"
EXISTING = "existing"
MODULE = "module"
CONDA = "conda"
COMMAND = "command"
KINDS = (VENV, EXISTING, MODULE, CONDA, COMMAND)

_MARK = "hpc-jupyter: "
_HEAD = "# Written by the role hpc.jupyter.jupyter_environment, which replaces it at its next run."
_FAIL = r"""unset HPC_JUPYTER_PYTHON
hpc_jupyter_fail() {
    printf 'hpc-jupyter: %s\n' "$1" >&2
    exit 1
}
"""
_NEED_MODULE = r"""command -v module >/dev/null 2>&1 ||
    hpc_jupyter_fail "there is no module command on $(uname -n), not even in a login shell. \
If the site has one, source what defines it in jupyter_environment_prologue"
"""
_PYTHON_OF_JUPYTER = r"""# The Python of `jupyter`: the one beside it, or the one that its first line names.
hpc_jupyter_python_of() {
    local name first
    case ${1%/*} in
    /usr/bin | /usr/local/bin) ;;
    *)
        for name in "${1%/*}/python" "${1%/*}/python3"; do
            [ -x "$name" ] && printf '%s\n' "$name" && return
        done
        ;;
    esac
    IFS= read -r first <"$1"
    first=${first#'#!'}
    case $first in
    *'/env '*) type -P -- "${first##* }" ;;
    /*python*) printf '%s\n' "${first%% *}" ;;
    *) type -P python3 ;;
    esac
}
"""
_ALONE = "unset PYTHONHOME PYTHONPATH\n"
_PLAIN = re.compile(rf"^(?P<alone>{_ALONE})?export HPC_JUPYTER_PYTHON=(?P<python>/.*|'/.*')\nexport PATH=.*\n\Z", re.M)
_CONDA = r"""# A root with its script, or a program that prints its own shell hook.
hpc_jupyter_activate() {
    local tool=$1 name=$2 root=$1 hook
    if [ -d "$tool" ]; then
        for tool in "$root/bin/conda" "$root/condabin/conda" "$root/bin/mamba" "$root/bin/micromamba"; do
            [ -x "$tool" ] && break
        done
    else
        root=$(dirname -- "$(dirname -- "$tool")")
    fi
    # Activation scripts take the arguments of whoever sources them for their own.
    set --
    if [ -r "$root/etc/profile.d/conda.sh" ]; then
        # shellcheck source=/dev/null
        . "$root/etc/profile.d/conda.sh" && conda activate "$name"
        return
    fi
    case ${tool##*/} in
    conda*) hook=$("$tool" shell.bash hook) && eval "$hook" && conda activate "$name" ;;
    mamba*) hook=$("$tool" shell hook --shell bash) && eval "$hook" && mamba activate "$name" ;;
    *) hook=$("$tool" shell hook --shell bash) && eval "$hook" && micromamba activate "$name" ;;
    esac
}
hpc_jupyter_find_conda() {
    local place
    for place in "$CONDA_EXE" "$(type -P conda)" "$MAMBA_EXE" "$(type -P mamba)" "$(type -P micromamba)" \
        "$HOME/miniforge3" "$HOME/miniconda3" "$HOME/mambaforge" "$HOME/anaconda3" "$HOME/.local/bin/micromamba"; do
        [ -n "$place" ] && [ -e "$place" ] && printf '%s\n' "$place" && return
    done
}
"""
_PROBE = r"""hpc_jupyter_arguments=("$@")
set --
. "$0"
if [ -z "$HPC_JUPYTER_PYTHON" ]; then
    printf 'hpc-jupyter: environment.sh does not get to its end on %s\n' "$(uname -n)" >&2
    exit 1
fi
printf 'hpc-jupyter: ready\n' >&2
[ "${#hpc_jupyter_arguments[@]}" -gt 0 ] || exit 0
# A wrapper of ours may lie in a directory from which nothing can be run.
case $HPC_JUPYTER_PYTHON in
"${0%/*}"/*) exec bash "$HPC_JUPYTER_PYTHON" "${hpc_jupyter_arguments[@]}" ;;
*) exec "$HPC_JUPYTER_PYTHON" "${hpc_jupyter_arguments[@]}" ;;
esac
"""


@dataclass(frozen=True)
class Activation:
    """What ``environment.sh`` does.

    ``python`` is an absolute path for ``venv`` and ``existing``, with their programs in ``bin``; the command's own
    Python for ``command``; found when the script runs for the others. ``name`` is a conda environment's name or
    directory, ``wrapper`` the path at which the job finds the script that ``wrapper_text`` gives. With ``allow_old``
    packages below the floors are used all the same.
    """

    kind: str
    python: str = ""
    bin: str = ""
    modules: tuple[str, ...] = ()
    purge: bool = False
    prologue: str = ""
    conda: str = ""
    name: str = ""
    command: tuple[str, ...] = ()
    wrapper: str = ""
    allow_old: bool = False

    @property
    def does_more(self) -> bool:
        """Whether it does more than to set variables."""
        return bool(self.modules or self.purge or self.prologue.strip())

    @property
    def title(self) -> str:
        """What messages call it."""
        if self.kind == CONDA:
            return f"the conda environment {self.name}"
        if self.kind == COMMAND:
            return f"the command {words(self.command)}"
        return _modules(self.modules)


def words(argv: Sequence[str]) -> str:
    """``argv`` as one would type it."""
    return " ".join(shlex.quote(word) for word in argv)


def at_home(argv: Sequence[str]) -> tuple[str, ...]:
    """``argv`` with the home directory for each leading ``~``."""
    return tuple(os.path.expanduser(word) for word in argv)


def check(wanted: Activation) -> None:
    """Refuse what is missing or cannot be quoted; raises ``BadInput``."""
    if wanted.kind == MODULE and not wanted.modules:
        raise BadInput("jupyter_environment_modules", "is empty", hint="Name the modules that bring jupyter")
    if wanted.kind == COMMAND and not wanted.command:
        raise BadInput(
            "jupyter_environment_command", "is empty", hint="Write its words, such as [apptainer, exec, x.sif]"
        )
    for field, values in (
        ("modules", wanted.modules), ("command", wanted.command), ("conda", (wanted.conda,)), ("path", (wanted.name,)),
        ("python", (wanted.python,)),
    ):
        for value in values:
            _check_value(f"jupyter_environment_{field}", value)
    for module in wanted.modules:
        if not module.strip() or module.startswith("-"):
            raise BadInput("jupyter_environment_modules", f"{module!r} is not a module", hint="Write one a list item")
    if "\0" in wanted.prologue:
        raise BadInput("jupyter_environment_prologue", "has a null character in it")


def render(wanted: Activation) -> str:
    """The text of ``environment.sh``; ``wanted`` has been checked."""
    parts = [f"{_HEAD} The job sources it.\n", floors.ALLOWED if wanted.allow_old else ""]
    if wanted.does_more or wanted.kind not in (VENV, EXISTING):
        parts.append(_FAIL)
    if wanted.prologue.strip():
        parts.append(f"# jupyter_environment_prologue:\n{wanted.prologue.rstrip()}\n# The prologue's end.\n")
    parts.extend(_module_lines(wanted))
    parts.append(_PARTS[wanted.kind](wanted))
    return "".join(parts)


def told(text: str) -> tuple[str, str]:
    """The kind (``venv`` or ``existing``) and the Python that an ``environment.sh`` names; empty for other kinds."""
    found = _PLAIN.search(text)
    if not found:
        return "", ""
    return VENV if found["alone"] else EXISTING, shlex.split(found["python"])[0]


def wrapper_text(wanted: Activation) -> str:
    """The script that stands for the Python of a ``command``."""
    program = shlex.quote(wanted.command[0])
    return (
        f"#!/bin/bash\n{_HEAD}\n"
        f"type -P -- {program} >/dev/null || {{\n"
        f"""    printf 'hpc-jupyter: there is no %s on %s\\n' {program} "$(uname -n)" >&2\n"""
        f"    exit 1\n}}\n"
        f'exec {words([*wanted.command, wanted.python or "python3"])} "$@"\n'
    )


def _check_value(field: str, value: str) -> None:
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise BadInput(field, f"{value!r} has a line break or another control character in it")


def _module_lines(wanted: Activation) -> list[str]:
    if not (wanted.modules or wanted.purge):
        return []
    lines = [_NEED_MODULE]
    if wanted.purge:
        lines.append('module purge || hpc_jupyter_fail "module purge failed on $(uname -n)"\n')
    for module in wanted.modules:
        message = shlex.quote(f"the module {module} cannot be loaded on ")
        lines.append(f'module load {shlex.quote(module)} || hpc_jupyter_fail {message}"$(uname -n)"\n')
    return lines


def _modules(names: Sequence[str]) -> str:
    return f"the module{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _plain_part(wanted: Activation) -> str:
    alone = _ALONE if wanted.kind == VENV else ""
    directory = shlex.quote(wanted.bin)
    return f'{alone}export HPC_JUPYTER_PYTHON={shlex.quote(wanted.python)}\nexport PATH={directory}:"$PATH"\n'


def _module_part(wanted: Activation) -> str:
    message = shlex.quote(f"{wanted.title} cannot run JupyterLab: there is no jupyter program on PATH on ")
    unclear = shlex.quote(f"{wanted.title} has a jupyter, but its Python is not found on ")
    return (
        f'{_PYTHON_OF_JUPYTER}hpc_jupyter_program=$(type -P jupyter) || hpc_jupyter_fail {message}"$(uname -n)"\n'
        'HPC_JUPYTER_PYTHON=$(hpc_jupyter_python_of "$hpc_jupyter_program") || '
        f'hpc_jupyter_fail {unclear}"$(uname -n)"\n'
        "export HPC_JUPYTER_PYTHON\n"
    )


def _conda_part(wanted: Activation) -> str:
    if wanted.conda:
        place = f"hpc_jupyter_conda={shlex.quote(wanted.conda)}\n"
        absent = shlex.quote(f"there is no conda at {wanted.conda} on ") + '"$(uname -n)"'
    else:
        place = "hpc_jupyter_conda=$(hpc_jupyter_find_conda)\n"
        absent = (
            '"there is no conda, mamba or micromamba on $(uname -n): set jupyter_environment_conda to its directory or '
            'its program"'
        )
    message = shlex.quote(f"{wanted.title} cannot be activated on ")
    empty = shlex.quote(f"{wanted.title} has no Python on ")
    return (
        f'{_CONDA}{place}[ -n "$hpc_jupyter_conda" ] && [ -e "$hpc_jupyter_conda" ] || hpc_jupyter_fail {absent}\n'
        f'hpc_jupyter_activate "$hpc_jupyter_conda" {shlex.quote(wanted.name)} || '
        f'hpc_jupyter_fail {message}"$(uname -n)"\n'
        f'[ -x "$CONDA_PREFIX/bin/python" ] || hpc_jupyter_fail {empty}"$(uname -n)"\n'
        'export HPC_JUPYTER_PYTHON="$CONDA_PREFIX/bin/python"\n'
    )


def _command_part(wanted: Activation) -> str:
    return f"export HPC_JUPYTER_PYTHON={shlex.quote(wanted.wrapper)}\n"


_PARTS = {
    VENV: _plain_part, EXISTING: _plain_part, MODULE: _module_part, CONDA: _conda_part, COMMAND: _command_part,
}


def try_out(wanted: Activation, arguments: Sequence[str] = ()) -> Result:
    """Source the script as the job does and start its Python with ``arguments``; without any, only source it.

    Raises ``HpcJupyterError`` with the script's words when it gives up.
    """
    with tempfile.TemporaryDirectory(prefix="hpcj-") as scratch:
        wrapper = os.path.join(scratch, "environment-python")
        here = replace(wanted, wrapper=wrapper) if wanted.kind == COMMAND else wanted
        script = _write(scratch, "environment.sh", render(here))
        if here.kind == COMMAND:
            _write(scratch, "environment-python", wrapper_text(here))
        return source(script, arguments)


def source(script: str, arguments: Sequence[str] = ()) -> Result:
    """Source ``script``, an ``environment.sh``, and start its Python with ``arguments``, as ``try_out`` does."""
    result = run(["bash", "-l", "-c", _PROBE, script, *arguments], timeout_seconds=180)
    _before, ready, after = result.err.partition(f"{_MARK}ready\n")
    if not ready or _said(after):
        raise HpcJupyterError(_why(result, script=script))
    return replace(result, err=after)


def _why(result: Result, *, script: str) -> str:
    """The script's last word, then what others said before it: the module system, conda, bash."""
    if result.timed_out:
        return "the environment did not come up within 180 seconds: environment.sh was stopped"
    lines = [line.strip() for line in result.err.replace(script, "environment.sh").splitlines() if line.strip()]
    others = [line for line in lines if not line.startswith(_MARK)]
    said = _said(result.err) or [f"environment.sh ended with {result.code} before its end"]
    return ": ".join([said[-1], *(["; ".join(others[-4:])] if others else [])])


def _said(text: str) -> list[str]:
    return [line[len(_MARK):] for line in text.splitlines() if line.startswith(_MARK) and line != f"{_MARK}ready"]


def _write(directory: str, name: str, text: str) -> str:
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path

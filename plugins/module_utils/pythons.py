# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python that is new enough, looked for by a POSIX shell alone: login hosts may have none that could look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

LOOKED_AT = "PATH, a login shell's PATH, conda, uv, pyenv and modules"

_MARK = "hpc-jupyter-python:"
_ANY = (3, 999)
_WORDS = 3
"""After the mark: whether it will do, its version, its path."""

_SCRIPT = r"""
mark=$1 need=$2 most=$3 deep=$4 wanted=$5 seen=:
shift 5
try() {
    case $1 in /*) ;; *) return ;; esac
    case $seen in *":$1:"*) return ;; esac
    seen=$seen$1:
    [ -x "$1" ] || return
    said=$("$1" -I -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' </dev/null 2>/dev/null) || return
    case $said in 3.*.*) ;; *) return ;; esac
    minor=${said#3.}
    minor=${minor%%.*}
    [ "$minor" -le "$most" ] || return
    if [ "$minor" -ge "$need" ]; then
        echo "$mark good $said $1"
        exit 0
    fi
    echo "$mark old $said $1"
}
on_path() {
    for name in python3 python3.12 python3.13 python3.11 python3.14 python3.10 python3.9 python3.8; do
        try "$(PATH=$1 command -v "$name")"
    done
}
login_shell() {
    bash -lc "$1" "$@" </dev/null 2>/dev/null | sed -n "s/^$mark//p" | tail -n 1
}
if [ -n "$wanted" ]; then
    case $wanted in "~/"*) wanted=$HOME/${wanted#??} ;; esac
    try "$wanted"
    exit 0
fi
for path; do try "$path"; done
try /usr/bin/python3
on_path "$PATH:/usr/local/bin:/usr/bin:$HOME/.local/bin"
[ "$deep" = 1 ] || exit 0
on_path "$(login_shell "printf '\n$mark%s\n' \"\$PATH\"")"
conda=$(login_shell "printf '\n$mark%s\n' \"\${CONDA_EXE:-\$(command -v conda)}\"")
for at in "${conda%/*/conda}" "$HOME/miniforge3" "$HOME/mambaforge" "$HOME/miniconda3" "$HOME/anaconda3" \
    /opt/conda /opt/miniforge3 /opt/miniconda3 /opt/anaconda3 "$HOME"/.conda/envs/* \
    "$HOME"/.local/share/uv/python/* "$HOME"/.pyenv/versions/*; do
    try "$at/bin/python3"
done
modules=$(bash -lc 'module -t avail' </dev/null 2>&1 |
    sed -n 's/^ *\([A-Za-z0-9_.+/-]*[A-Za-z0-9_.+-]\)\( *([A-Za-z]*)\)*$/\1/p' |
    grep -iE 'python|conda|forge' | sort -rV | head -n 12)
for name in $modules; do
    try "$(login_shell "module load \"\$1\" && printf '\n$mark%s\n' \"\$(command -v python3)\"" "$name")"
done
"""


@dataclass(frozen=True)
class Python:
    """One Python, by its path and its version, such as 3.9.18."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.path} ({self.version})"


@dataclass(frozen=True)
class Search:
    """What the search has found: the first Python that will do, if any, and those that are too old."""

    good: Python | None
    old: tuple[Python, ...]


def command(
    *, oldest: Sequence[int], newest: Sequence[int] = _ANY, wanted: str = "", known: Sequence[str] = (), deep: bool
) -> list[str]:
    """What prints the search's findings, at once where the ``known`` ones or those on PATH will do.

    ``wanted`` is the only one that will do, ``~/`` being the home directory; ``deep`` looks further than PATH, which
    takes seconds where there are modules.
    """
    return ["/bin/sh", "-c", _SCRIPT, "sh", _MARK, str(oldest[1]), str(newest[1]), "1" if deep else "0", wanted, *known]


def found(output: str) -> Search:
    """What the command found, in what it printed and the login around it."""
    lines = [line[len(_MARK):].split(None, _WORDS - 1) for line in output.splitlines() if line.startswith(_MARK)]
    whole = [line for line in lines if len(line) == _WORDS]
    good = [Python(path, version) for word, version, path in whole if word == "good"]
    old = tuple(Python(path, version) for word, version, path in whole if word == "old")
    return Search(good[0] if good else None, old)


def dotted(version: Sequence[int]) -> str:
    """``(3, 8)`` as one writes it."""
    return ".".join(str(part) for part in version)

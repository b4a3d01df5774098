# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the account: argument lists, a deadline, C locale, UTC."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from typing import Mapping, Sequence

_MARK = b"hpc-jupyter-login:"


@dataclass(frozen=True)
class Result:
    """How a command ended; ``timed_out`` means that it was killed at its deadline and ``code`` says nothing."""

    code: int
    out: str
    err: str
    timed_out: bool = False


def run(
    argv: Sequence[str], *, timeout_seconds: float, hidden: tuple[str, ...] = (), as_it_is: bool = False
) -> Result:
    """Run ``argv`` to its end or its deadline; raises ``FileNotFoundError`` if there is no such command.

    Variables of the environment that start with one of ``hidden`` are kept from it. ``as_it_is`` leaves locale and time
    zone the person's own, for what hands its environment on.
    """
    path = find_command(argv[0])
    # What only a login finds may need more of its environment than PATH: SGE_ROOT, LSF_ENVDIR.
    known = dict(_login()) if shutil.which(argv[0]) is None else {}
    known.update(item for item in os.environ.items() if item[0] != "PATH" or "PATH" not in known)
    environment = {name: value for name, value in known.items() if not name.startswith(hidden)}
    if not as_it_is:
        environment.update(LC_ALL="C", TZ="UTC")
    try:
        done = subprocess.run(
            [path, *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout_seconds,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        return Result(-1, _text(error.stdout), _text(error.stderr), timed_out=True)
    return Result(done.returncode, _text(done.stdout), _text(done.stderr))


def find_command(name: str) -> str:
    """The path of a command on PATH, or on a login shell's PATH, which ssh's own shells often lack."""
    found = shutil.which(name) or shutil.which(name, path=_login().get("PATH", os.defpath))
    if found is None:
        raise FileNotFoundError(f"there is no {name} on PATH, nor on a login shell's PATH")
    return found


@lru_cache(maxsize=1)
def _login() -> Mapping[str, str]:
    """A login shell's environment."""
    try:
        done = subprocess.run(
            ["bash", "-lc", f"printf %s {_MARK.decode()}; env -0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    told = [os.fsdecode(item).partition("=") for item in done.stdout.rpartition(_MARK)[2].split(b"\0")]
    return {name: value for name, equals, value in told if equals}


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jupyter configuration that is neither ours nor in ``~/.jupyter``, and that Jupyter reads all the same.

It belongs to the environment, the machine, or the person (``~/.local/etc/jupyter``). Nearly all that could open a
session is on the command line, which wins; what could not be, since it is a secret or one of many, is looked for here.
"""

from __future__ import annotations

import ast
import glob
import json
import os
import site
import sys
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

_MACHINE = ("/usr/local/etc/jupyter", "/etc/jupyter")
_NAMES = ("jupyter_config", "jupyter_*_config")
_UNKNOWN = object()
"""A value that only running the file would tell."""
_TORNADO = (
    "cookie_secret", "xsrf_cookies", "disable_check_xsrf", "allow_remote_access", "allow_unauthenticated_access",
)
_REMEDY = "Take that out, or set another environment up (playbook hpc.jupyter.setup)"
_OF_THE_MACHINE = "Every Jupyter of this machine reads that file: ask its administrators to take that out"
_OF_THE_PERSON = "Every Jupyter of yours reads that file: take that out of it"


@dataclass(frozen=True)
class Setting:
    """One setting that a file makes: ``ServerApp.token`` has the section ``ServerApp``."""

    path: str
    section: str
    trait: str
    value: Any = _UNKNOWN

    @property
    def name(self) -> str:
        """As one writes it on a command line."""
        return f"{self.section}.{self.trait}"


def directories() -> list[str]:
    """Where Jupyter looks beside ``JUPYTER_CONFIG_DIR`` and ``JUPYTER_CONFIG_PATH`` when this very Python runs it."""
    person = [_person()] if site.ENABLE_USER_SITE else []
    return list(dict.fromkeys([*person, os.path.join(sys.prefix, "etc", "jupyter"), *_MACHINE]))


def settings(places: Iterable[str]) -> list[Setting]:
    """What the files in those directories set; a file that cannot be read or parsed sets nothing, as for Jupyter."""
    return [setting for place in places for path in _files(place) for setting in _read(path)]


def problems(found: Iterable[Setting]) -> list[str]:
    """One sentence for each setting that would open a session in spite of the command line."""
    return [f"{each.path} sets {each.name}, {why}. {_remedy(each.path)}" for each in found for why in _why(each) if why]


def unheeded(found: Iterable[Setting], *, settled: Iterable[str]) -> list[str]:
    """One sentence for each setting that the command line, which sets ``settled``, makes void."""
    names = set(settled)
    return [f"{each.path} sets {each.name}; sessions do not heed it" for each in found if each.name in names]


def _person() -> str:
    return os.path.join(site.getuserbase(), "etc", "jupyter")


def _remedy(path: str) -> str:
    """What helps; another environment only against what belongs to this one."""
    if path.startswith(tuple(f"{place}/" for place in _MACHINE)):
        return _OF_THE_MACHINE
    return _OF_THE_PERSON if path.startswith(f"{_person()}/") else _REMEDY


def _why(setting: Setting) -> Iterator[str]:
    if setting.trait == "cookie_secret":
        yield "the key that signs login cookies, which has to be a session's own"
    if setting.trait == "token" and setting.section.endswith(("IdentityProvider", "ServerApp", "NotebookApp")):
        yield "where every session has a token of its own"
    if setting.trait in ("password", "hashed_password") and _is_weak(setting.value):
        yield "and it is no argon2id hash: what opens sessions would be guessed"
    if setting.trait == "tornado_settings" and isinstance(setting.value, dict):
        opened = [name for name in _TORNADO if name in setting.value]
        yield f"with {', '.join(opened)}, which goes past our own settings" if opened else ""


def _is_weak(value: object) -> bool:
    return isinstance(value, str) and value != "" and not value.startswith("argon2:$argon2id$")


def _files(place: str) -> list[str]:
    quoted = glob.escape(place)
    found = {path for name in _NAMES for path in glob.glob(os.path.join(quoted, f"{name}.*"))}
    found.update(glob.glob(os.path.join(quoted, "jupyter_server_config.d", "*.json")))
    return sorted(path for path in found if path.endswith((".json", ".py")))


def _read(path: str) -> list[Setting]:
    try:
        with open(path, "rb") as stream:
            text = stream.read().decode("utf-8")
        return list(_of_python(path, ast.parse(text)) if path.endswith(".py") else _of_json(path, json.loads(text)))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return []


def _of_json(path: str, config: object) -> Iterator[Setting]:
    for section, values in config.items() if isinstance(config, dict) else ():
        for trait, value in values.items() if isinstance(values, dict) else ():
            yield Setting(path, str(section), str(trait), value)


def _of_python(path: str, tree: ast.AST) -> Iterator[Setting]:
    """Assignments to ``c.Section.trait``, wherever they stand."""
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            section = target.value if isinstance(target, ast.Attribute) else None
            if isinstance(target, ast.Attribute) and isinstance(section, ast.Attribute):
                yield Setting(path, section.attr, target.attr, _value(node))


def _value(node: ast.AST) -> Any:
    try:
        return ast.literal_eval(getattr(node, "value", None))  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNKNOWN

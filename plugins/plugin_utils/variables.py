# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' variables, checked against the roles' own argument specs before anything is contacted.

Ansible checks types when a role begins, which is after the first login, and takes a misspelt name without a word.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import glob
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from ansible_collections.hpc.jupyter.plugins.module_utils import idle, interfaces, race, request
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.origin import (
    check_secrecy,
    is_secret,
    origins,
    refuse_odd_numbers,
)
from ansible_collections.hpc.jupyter.plugins.plugin_utils.password import check_hash, check_password

PREFIX = "jupyter_"
SECRETS = ("jupyter_server_password", "jupyter_server_authority_passphrase")
"""What may not stand in clear in a file that others can read, nor on a command line."""
OFFLINE = ("auto", "always", "never")
KINDS = ("venv", "existing", "module", "conda", "command")
_ROLES = os.path.join(os.path.dirname(__file__), "..", "..", "roles")
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NEAR = 0.85
"""How alike another name must be to one of ours to be taken for a misspelt one."""
_LIKE = 0.75
"""How alike a name must be to be offered instead of one that is wrong for certain."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_TRUTHS = ("y", "yes", "on", "1", "true", "t", "1.0", "n", "no", "off", "0", "false", "f", "0.0")
_CERTIFICATE_DAYS = range(1, 3651)


@functools.cache
def specs() -> Mapping[str, Mapping[str, Any]]:
    """The specification of every variable of the roles, by name."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(glob.glob(os.path.join(_ROLES, "*", "meta", "argument_specs.yml"))):
        with open(path, encoding="utf-8") as stream:
            points = yaml.load(stream, Loader=_SafeLoader)["argument_specs"]  # noqa: S506 - it is a safe one
        for point in points.values():
            found.update(point.get("options") or {})
    return {name: spec for name, spec in found.items() if name.startswith(PREFIX)}


def check_role(role: str, variables: Mapping[str, Any], render: Callable[[Any], Any]) -> None:
    """Raise what ``refusal`` finds in the variables of one role, for its first task.

    A role may be given variables of its own, which nothing before it in the play has seen.
    """
    ours = {name: value for name, value in variables.items() if name.startswith(f"{role}_")}
    refuse_odd_numbers(ours)
    refused = refusal(ours, render)
    if refused is not None:
        raise refused


def refusal(variables: Mapping[str, Any], render: Callable[[Any], Any]) -> BadInput | None:
    """What is wrong with the first bad one of the role variables among ``variables``, with where it was written.

    ``render`` resolves templates. What cannot be rendered yet, such as what a later task registers, the play will see.
    """
    ours = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    try:
        check_names(ours)
        for name, value in ours.items():
            # What fetches a secret may ask a person for it: once, where it is needed.
            if name in SECRETS and isinstance(value, str) and "{{" in value:
                continue
            with contextlib.suppress(_NotYet):
                _check_rendered(name, _rendered(value, render))
        with contextlib.suppress(_NotYet):
            _check_idle(variables, render)
    except BadInput as error:
        return error.at(origins(ours).get(error.field, ""))
    return None


class _NotYet(Exception):
    """The value cannot be known here."""


def _rendered(value: Any, render: Callable[[Any], Any]) -> Any:
    try:
        return render(value)
    except Exception as error:  # a template may raise anything
        raise _NotYet from error


def _check_rendered(name: str, value: Any) -> None:
    check_values({name: value})
    if name in SECRETS and value:
        check_secrecy(name, value)


def _check_idle(variables: Mapping[str, Any], render: Callable[[Any], Any]) -> None:
    """Raise ``BadInput`` for a time without use beyond the admin's limit, which is a variable of its own."""
    names = (idle.VARIABLE, idle.LIMIT, "ansible_connection")
    asked, limit, connection = (_rendered(variables.get(name, ""), render) for name in names)
    idle.allowed(asked, limit=limit, local=connection == "local")


def check_names(names: Mapping[str, Any], *, all_ours: bool = False) -> None:
    """Raise ``BadInput`` for a name that is probably one of ours, misspelt; with ``all_ours``, for every unknown one.

    ``jupyter_…`` may belong to somebody else's role too, unless what follows is the name of one of ours.
    """
    for name in names:
        if not name.startswith(PREFIX) or name in specs():
            continue
        near = difflib.get_close_matches(name, specs(), n=1, cutoff=_NEAR)
        role = next((role for role in _roles() if name.startswith(role + "_")), "")
        if near or role or all_ours:
            raise BadInput(name, "is not a variable of the roles", hint=_instead(name, near, role))


def check_values(values: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for a value, rendered already, that its role could not use."""
    for name, value in values.items():
        spec = specs().get(name)
        if spec is None or value is None:
            continue
        _check_type(name, value, spec)
        if value != "" and name in _CHECKS:
            _check(name, value)


def _roles() -> set[str]:
    return {"_".join(name.split("_")[:2]) for name in specs()}


def _instead(name: str, near: list[str], role: str) -> str:
    near = near or difflib.get_close_matches(name, specs(), n=1, cutoff=_LIKE)
    if near:
        return f"Did you mean {near[0]}?"
    known = [item for item in specs() if item.startswith(role + "_")] if role else sorted(_roles())
    return f"Known are: {', '.join(known)}" + ("" if role else ", each with its own")


def _check(name: str, value: Any) -> None:
    try:
        _CHECKS[name](value)
    except BadInput as error:
        raise BadInput(name, str(error).partition(": ")[2]) from None


def _check_type(name: str, value: Any, spec: Mapping[str, Any]) -> None:
    kind = spec.get("type", "str")
    right, what = _TYPES.get(kind, _ANYTHING)
    if not right(value):
        raise _wrong(name, value, what)
    for item in value if kind == "list" and isinstance(value, (list, tuple)) else ():
        _check_item(name, item, spec)


def _check_item(name: str, item: Any, spec: Mapping[str, Any]) -> None:
    right, what = _TYPES.get(spec.get("elements", ""), _ANYTHING)
    if not right(item):
        raise _wrong(name, item, what, inside=True)
    if isinstance(item, Mapping) and spec.get("options"):
        _check_keys(name, item, spec["options"])


def _check_keys(name: str, item: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> None:
    for key, value in item.items():
        if key not in options:
            near = difflib.get_close_matches(str(key), options, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(options)}"
            raise BadInput(name, f"{key!r} is not one of its keys", hint=hint)
        if value is not None:
            _check_type(name, value, options[key])
    for key, option in options.items():
        if option.get("required") and item.get(key) is None:
            raise BadInput(name, f"an item of the list lacks {key!r}")


def _wrong(name: str, value: Any, what: str, *, inside: bool = False) -> BadInput:
    # A secret that YAML took for something else is a secret all the same.
    shown = "it" if is_secret(name) else repr(value)
    hint = "Write it in quotes" if what == "text" else ""
    return BadInput(name, f"{shown} is not {what}" + (", as each item must be" if inside else ""), hint=hint)


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


_ANYTHING: tuple[Callable[[Any], bool], str] = (lambda _value: True, "")
_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "str": (_is_text, "text"),
    "path": (_is_text, "text"),
    "int": (lambda value: _is_text(value) and bool(_WHOLE.fullmatch(str(value))), "a whole number"),
    "float": (lambda value: _is_text(value) and bool(_NUMBER.fullmatch(str(value))), "a number"),
    "bool": (lambda value: str(value).lower() in _TRUTHS, "true or false"),
    "list": (lambda value: isinstance(value, (list, tuple, str)), "a list"),
    "dict": (lambda value: isinstance(value, Mapping), "a mapping"),
}
"""What Ansible converts, more strictly: it takes true for 1."""


def _resource(name: str) -> Callable[[Any], object]:
    def check(value: Any) -> object:
        items = [value] if name == "extra" and isinstance(value, str) else value
        return request.build_resources({name: items}) if name != "exclusive" else None

    return check


def _one_of(*allowed: str) -> Callable[[Any], object]:
    def check(value: Any) -> object:
        if value in allowed:
            return value
        near = difflib.get_close_matches(str(value), allowed, n=1)
        raise BadInput(
            "value", f"{value!r} is not one of {', '.join(allowed)}", hint=f"Did you mean {near[0]}?" if near else ""
        )

    return check


def _certificate_days(value: Any) -> object:
    if int(value) not in _CERTIFICATE_DAYS:
        raise BadInput("days", f"{value} is not between {_CERTIFICATE_DAYS[0]} and {_CERTIFICATE_DAYS[-1]}")
    return value


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    **{f"jupyter_session_{name}": _resource(name) for name in request.RESOURCES},
    **{f"jupyter_session_{name}_seconds": request.check_seconds
       for name in ("idle", "idle_limit", "startup", "unclaimed", "wait", "stop")},
    "jupyter_session_race": race.check,
    "jupyter_session_warn_minutes": request.check_warn_minutes,
    "jupyter_session_name": lambda value: request.session_name(str(value)),
    "jupyter_session_directory": lambda value: request.check_directory(str(value)),
    "jupyter_session_interface": _one_of(*interfaces.INTERFACES),
    "jupyter_session_nice": request.check_nice,
    "jupyter_session_job": lambda value: request.check_job(str(value), request.Resources()),
    "jupyter_environment_kind": _one_of(*KINDS),
    "jupyter_environment_offline": _one_of(*OFFLINE),
    "jupyter_server_tls": _one_of(*request.TLS),
    "jupyter_server_certificate_days": _certificate_days,
    "jupyter_server_password": check_password,
    "jupyter_server_password_hash": check_hash,
}

"""What a person may ask for on the command line, checked before anything is contacted."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.hpc.jupyter.plugins.module_utils import idle, request
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import variables as roles

from hpc_jupyter.account import Account
from hpc_jupyter.ports import Wanted

_VARIABLE = re.compile(r"jupyter_[a-z][a-z0-9_]*")
_RESOURCES = (
    "time",
    "cpus",
    "memory",
    "gpus",
    "gres",
    "partition",
    "project",
    "qos",
    "constraint",
    "reservation",
    "nodes",
    "mail_user",
    "mail_type",
    "dependency",
)
_NOTHING: dict[str, Any] = {"jupyter_session_exclusive": False, "jupyter_session_extra": []}


@dataclass(frozen=True)
class Connection:
    """How the session is to be reached and shown."""

    wanted: Wanted = field(default_factory=Wanted)
    browser: bool = True
    detach: bool = False
    explain: bool = False


@dataclass(frozen=True)
class Launch:
    """A session as it is asked for: role variables, all of them checked."""

    session: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    connection: Connection = field(default_factory=Connection)


def launch(
    values: Mapping[str, Any], *, extra_variables: Sequence[str] = (), connection: Connection | None = None
) -> Launch:
    """The checked request in ``values``, named as the options are; raises ``BadInput``."""
    name = request.session_name(values["session"])
    resources = {key: values[key] for key in (*_RESOURCES, "exclusive", "extra") if values.get(key)}
    job = request.check_job(values.get("job") or "", request.build_resources(resources))
    variables = {f"jupyter_session_{key}": value for key, value in resources.items()}
    if job:
        # What the inventory asks for is for jobs that are submitted.
        variables = {**{f"jupyter_session_{key}": "" for key in _RESOURCES}, **_NOTHING, "jupyter_session_job": job}
    if values.get("directory"):
        variables["jupyter_session_directory"] = request.check_directory(values["directory"])
    if values.get("interface"):
        variables["jupyter_session_interface"] = request.check_interface(values["interface"])
    if values.get("nice") is not None:
        variables["jupyter_session_nice"] = request.check_nice(values["nice"])
    if values.get("idle") is not None:
        variables[idle.VARIABLE] = idle_seconds(values["idle"])
    for option in ("idle_seconds", "wait_seconds"):
        if values.get(option) is not None:
            variables[f"jupyter_session_{option}"] = values[option]
    if values.get("anyway"):
        variables["jupyter_session_anyway"] = True
    variables.update(parse_variables(extra_variables))
    variables["jupyter_session_name"] = name
    return Launch(session=name, variables=variables, connection=connection or Connection())


def check_home() -> None:
    """Raise ``BadInput`` where ``~`` means no directory: files would land wherever we are."""
    home = os.path.expanduser("~")
    if os.environ.get("HOME") == "" or not os.path.isabs(home):
        raise BadInput("HOME", "is not set, and nobody knows this user's home directory", hint="Set it")


def check_terminal(option: str) -> None:
    """Raise ``BadInput`` where there is nobody who could type."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        if not sys.stdin.isatty():
            raise BadInput(
                option, "is typed on a terminal, and there is none",
                hint="Run it in one, or put the secret into the inventory with ansible-vault",
            ) from None


def idle_seconds(text: str) -> int:
    """The seconds in what ``--idle`` is given."""
    try:
        return 0 if text == "0" else request.time_seconds(text)
    except BadInput:
        hint = "Write [D-]H:MM:SS from a minute on, such as 2:00:00, or 0 for never"
        raise BadInput("--idle", f"{text!r} is not a time", hint=hint) from None


def check_idle(account: Account, wanted: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for a longer time without use than the inventory allows."""
    asked = wanted.get(idle.VARIABLE)
    name = idle.VARIABLE if asked is None else "--idle"
    asked = account.facts.get(idle.VARIABLE) if asked is None else asked
    try:
        idle.allowed(asked, limit=account.facts.get(idle.LIMIT), local=account.cluster.local, name=name)
    except BadInput as error:
        raise error.at(account.origins.get(error.field, "")) from None


def parse_variables(pairs: Sequence[str]) -> dict[str, str]:
    """``KEY=VALUE`` pairs as plain data; only the roles' own variables can be set."""
    given = dict(_parse_variable(pair) for pair in pairs)
    try:
        roles.check_names(given, all_ours=True)
        roles.check_values(given)
    except BadInput as error:
        raise error.at("-e") from None
    return given


def _parse_variable(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals:
        raise BadInput("-e", f"{pair!r} is not KEY=VALUE", hint="Write for example -e jupyter_session_nodes=2")
    if _VARIABLE.fullmatch(key) is None:
        raise BadInput(
            "-e",
            f"{key!r} cannot be set here",
            hint="Role variables (jupyter_…) can; facts about the cluster and "
            "Ansible's own settings belong in the inventory",
        )
    if key == idle.LIMIT:
        raise BadInput("-e", f"{key} is the admin's", hint="It belongs in the inventory")
    if key in roles.SECRETS:
        asked = "Use `hpc-jupyter setup ACCOUNT --password`, or " if key == "jupyter_server_password" else "Use "
        raise BadInput(
            "-e", f"{key} is a secret, and others can read command lines", hint=f"{asked}a vault in the inventory"
        )
    return key, value

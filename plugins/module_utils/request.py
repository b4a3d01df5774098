# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person asks for, checked before anything is contacted or changed.

Every check raises ``BadInput`` with the field's name, the value, and what is allowed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils import interfaces
from ansible_collections.hpc.jupyter.plugins.module_utils import race as races
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

OFFERS = ("socket", "loopback", "lan", "reverse")
"""A Unix socket in a private directory of the node; a port of 127.0.0.1, for route ``local``; a port of the node's own
address; the Unix socket, and one on the login host that leads to it."""
TLS = ("auto", "always", "never")
"""``auto``: wherever a TCP port of the cluster is in the way, so with ``lan``, and with ``reverse`` by a port."""

WARN_MINUTES = (30, 10, 5, 1)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:,@+=/&|*()\[\]-]{0,127}")
_TIME = re.compile(r"(?:(?P<days>[0-9]{1,3})-)?(?P<hours>[0-9]{1,4}):(?P<minutes>[0-5][0-9]):(?P<seconds>[0-5][0-9])")
_MEMORY = re.compile(r"[1-9][0-9]{0,8}[KMGT]")
_GPUS = re.compile(r"(?:[A-Za-z0-9_.-]{1,64}:)?(?:0|[1-9][0-9]{0,3})")
_MOST_WARNINGS = 20
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_SECONDS = re.compile(r"0|[1-9][0-9]{0,8}")
_JOB = re.compile(r"[1-9][0-9]{0,11}")
_NICE = re.compile(r"1?[0-9]")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}(?:@[A-Za-z0-9.-]{1,253})?")
_EXTRA_HINT = "Write one option a list item, such as --licenses=a:1"
_OWN_OPTIONS = ("--wrap", "--export", "--export-file", "--output", "--error", "--job-name", "--parsable", "--array",
                "--wait", "--chdir", "-o", "-e", "-J", "-a", "-W", "-D")
"""Scheduler options that this collection sets itself, or that would put secrets or other jobs in."""
_WITH_VALUE = re.compile(r"-[A-Za-z]\w* \S")
_OWN_ANYWHERE = ("-o ", "-e ", "-J ")
_OPTION = re.compile(r"-[A-Za-z]|--[A-Za-z]")
_BUNDLE = re.compile(r"-[HhIkKOQsvV]+[oeJaWD]")
"""Short options in one word, as in ``-Hofile``; those without a value may stand before another."""


@dataclass(frozen=True)
class Resources:
    """What the job gets, in the field's terms; an empty string leaves it to the cluster's default.

    ``time`` is ``[D-]H:MM:SS``; ``memory`` is per node, ``8G``; ``gpus`` is ``2`` or ``a100:2``;
    ``project`` is the account, project or allocation that is charged; ``extra`` are scheduler options as they are.
    """

    time: str = ""
    cpus: str = ""
    memory: str = ""
    gpus: str = ""
    gres: str = ""
    partition: str = ""
    project: str = ""
    qos: str = ""
    constraint: str = ""
    reservation: str = ""
    nodes: str = ""
    exclusive: bool = False
    mail_user: str = ""
    mail_type: str = ""
    dependency: str = ""
    extra: tuple[str, ...] = ()


RESOURCES = tuple(item.name for item in fields(Resources))


@dataclass(frozen=True)
class Request:
    """One session as it is asked for; ``request.json`` holds it for the supervisor.

    ``directory`` is where notebooks open, empty for the home directory. ``offer`` is one of ``OFFERS``, ``tls`` one of
    ``TLS``. ``idle_seconds`` stops a session that nobody uses, 0 never. ``warn_minutes`` are the minutes before
    the end of its time at which people are warned. ``startup_seconds`` is how long Jupyter may
    take to answer. ``interface`` is one of ``interfaces``, ``nice`` how far it stands back for others on
    its node, 0 to 19. ``job`` is an allocation to run in that the account has already, and that has its resources;
    empty submits a job. ``race`` is the id of the race that it is submitted for, and ``unclaimed_seconds`` how long the
    session waits then for somebody to come, 0 for ever.
    """

    session: str
    account: str
    cluster: str
    scheduler: str
    resources: Resources = field(default_factory=Resources)
    directory: str = ""
    offer: str = "socket"
    tls: str = "auto"
    idle_seconds: int = 0
    warn_minutes: tuple[int, ...] = WARN_MINUTES
    startup_seconds: int = 180
    interface: str = interfaces.LAB
    nice: int = 0
    job: str = ""
    race: str = ""
    unclaimed_seconds: int = 0

    def to_json(self) -> bytes:
        """The request as ``request.json`` holds it."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"


def from_json(content: bytes) -> Request:
    """The request that ``to_json`` wrote; raises ``BadInput`` for anything else."""
    try:
        data = json.loads(content.decode("utf-8"))
        return build(**data)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput("request.json", f"is not a request ({error})") from error


def build(
    *, session: str, account: str, cluster: str, scheduler: str, resources: Mapping[str, Any] | None = None,
    directory: str = "", offer: str = "socket", tls: str = "auto", idle_seconds: object = 0,
    warn_minutes: Sequence[object] = WARN_MINUTES,
    startup_seconds: object = 180,
    interface: str = interfaces.LAB, nice: object = 0, job: str = "", race: str = "", unclaimed_seconds: object = 0,
) -> Request:
    """A checked ``Request`` from plain values, as modules and JSON files give them."""
    wanted = build_resources(resources or {})
    return Request(
        session=session_name(session),
        account=_text("account", account),
        cluster=_text("cluster", cluster),
        scheduler=_text("scheduler", scheduler),
        resources=wanted,
        directory=check_directory(directory),
        offer=one_of("offer", offer, OFFERS),
        tls=one_of("tls", tls, TLS),
        idle_seconds=check_seconds(idle_seconds, name="idle_seconds"),
        warn_minutes=check_warn_minutes(warn_minutes),
        startup_seconds=check_seconds(startup_seconds, name="startup_seconds"),
        interface=check_interface(interface),
        nice=check_nice(nice),
        job=check_job(job, wanted),
        race=races.check(race),
        unclaimed_seconds=check_seconds(unclaimed_seconds, name="unclaimed_seconds"),
    )


def build_resources(values: Mapping[str, Any]) -> Resources:
    """Checked ``Resources``; unknown names are refused, ``None`` means not asked for."""
    for name in values:
        if name not in RESOURCES:
            raise BadInput(name, "is not a resource", hint=f"Known are: {', '.join(RESOURCES)}")
    given = {name: value for name, value in values.items() if value is not None}
    return Resources(**{name: _check_resource(name, value) for name, value in given.items()})


def _check_resource(name: str, value: Any) -> Any:
    if name == "exclusive":
        if not isinstance(value, bool):
            raise BadInput(name, f"{value!r} is not a boolean", hint="Write true or false")
        return value
    if name == "extra":
        return tuple(_extra_option(option) for option in value)
    text = str(value)
    return _RESOURCE_CHECKS.get(name, _word)(name, text) if text else ""


def session_name(value: str) -> str:
    """A session's name: letters, digits, ``_`` and ``-``, 32 at most."""
    return _matching("session", value, _NAME, "Use up to 32 letters, digits, '_' or '-', a letter or digit first")


def time_seconds(value: str) -> int:
    """The seconds in a walltime ``[D-]H:MM:SS``."""
    match = _TIME.fullmatch(value)
    if match is None:
        raise BadInput("time", f"{value!r} is not a walltime", hint=_walltime_hint(value))
    parts = {name: int(text or 0) for name, text in match.groupdict().items()}
    total = ((parts["days"] * 24 + parts["hours"]) * 60 + parts["minutes"]) * 60 + parts["seconds"]
    if total < 60:
        raise BadInput("time", f"{value!r} is shorter than a minute", hint='Write a longer one, such as "2:00:00"')
    return total


def check_directory(value: str) -> str:
    """A start directory: absolute, or below the home directory with ``~/``, or empty for the home directory."""
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in value):
        raise BadInput("directory", f"{value!r} holds a control character, or is not UTF-8", hint="Rename it")
    if value and value != "~" and not value.startswith(("/", "~/")):
        raise BadInput("directory", f"{value!r} is relative", hint="Start it with / or ~/")
    return value


def check_interface(value: str) -> str:
    """The name of an interface."""
    return one_of("interface", value, tuple(interfaces.INTERFACES))


def check_nice(value: object) -> int:
    """How far processes stand back for others: 0 to 19, as ``nice`` counts."""
    return int(_matching("nice", str(value), _NICE, "Write a number from 0 (not at all) to 19 (as far as possible)"))


def check_warn_minutes(values: Sequence[object]) -> tuple[int, ...]:
    """The minutes before the end at which to warn, the most first; none for no warnings."""
    if isinstance(values, str):
        values = values.split(",")
    if len(values) > _MOST_WARNINGS:
        raise BadInput("warn_minutes", f"{values!r} is not a list of numbers",
                       hint=f"Write up to {_MOST_WARNINGS} minutes before the end, such as [30, 10, 5, 1]")
    found = {int(_matching("warn_minutes", str(value), _COUNT, "Write minutes before the end, from 1"))
             for value in values}
    return tuple(sorted(found, reverse=True))


def check_job(value: str, resources: Resources) -> str:
    """The id of an allocation to run in, empty for none; it has its resources already."""
    if not value:
        return ""
    _matching("job", value, _JOB, "Write the number of a job of yours, as squeue shows it")
    given = [name for name, asked in asdict(resources).items() if asked]
    if given:
        raise BadInput(
            "job", f"job {value} has its resources already, and {', '.join(given)} would change nothing",
            hint=f"Leave {' and '.join(given)} out, or job",
        )
    return value


def _walltime_hint(value: str) -> str:
    """For a plain number, which is minutes to some schedulers and seconds to others, how to write the minutes."""
    if value.isascii() and value.isdigit() and 0 < int(value) < 24 * 60:
        hours, minutes = divmod(int(value), 60)
        return f'Write "{hours}:{minutes:02}:00" if {value} are minutes'
    return 'Write [D-]H:MM:SS in quotes, such as "2:00:00" for two hours or "1-12:00:00" for a day and a half'


def _walltime(_name: str, value: str) -> str:
    time_seconds(value)
    return value


def _word(name: str, value: str) -> str:
    return _matching(name, value, _WORD, "Use letters, digits and the schedulers' own signs, no spaces or line breaks")


def _memory(name: str, value: str) -> str:
    return _matching(name, value, _MEMORY, "Write a number and K, M, G or T, such as 8G")


def _gpus(name: str, value: str) -> str:
    return _matching(name, value, _GPUS, "Write a number, or a type and a number, such as 1 or a100:2")


def _count(name: str, value: str) -> str:
    return _matching(name, value, _COUNT, "Write a number from 1")


def _mail(name: str, value: str) -> str:
    return _matching(name, value, _MAIL, "Write one mail address")


_RESOURCE_CHECKS = {
    "time": _walltime,
    "memory": _memory,
    "gpus": _gpus,
    "cpus": _count,
    "nodes": _count,
    "mail_user": _mail,
}


def _extra_option(value: object) -> str:
    text = str(value)
    if not _OPTION.match(text) or any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise BadInput("extra", f"{text!r} is not an option", hint=_EXTRA_HINT)
    if _WITH_VALUE.match(text) and text[:3] not in _OWN_ANYWHERE:
        return text  # as PBS, Grid Engine and LSF have them; what else they may be is for the scheduler to say
    option = text.split("=", 1)[0] if text.startswith("--") else text[:2]
    # sbatch takes the beginning of a long option's name for the whole.
    if any(own.startswith(option) for own in _OWN_OPTIONS):
        raise BadInput("extra", f"{option} is set by hpc.jupyter itself and cannot be given")
    if _BUNDLE.match(text):
        raise BadInput("extra", f"{text!r} has several options in one", hint=_EXTRA_HINT)
    return text


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """``value`` if it is one of ``allowed``."""
    if value not in allowed:
        raise BadInput(name, f"{value!r} is not one of {', '.join(allowed)}")
    return value


def check_seconds(value: object, *, name: str = "seconds") -> int:
    """A number of seconds."""
    return int(_matching(name, str(value), _SECONDS, "Write a number of seconds"))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadInput(name, f"{value!r} is not text")
    return value


def _matching(name: str, value: str, pattern: re.Pattern[str], hint: str) -> str:
    if pattern.fullmatch(value) is None:
        raise BadInput(name, f"{value!r} is not allowed", hint=hint)
    return value

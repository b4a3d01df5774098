# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface that every scheduler has; adding one is one file beside this and its row in ``__init__.py``."""

from __future__ import annotations

import os
import pwd
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Iterable, Mapping, Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources

PENDING = "pending"
RUNNING = "running"
ENDING = "ending"
"""Over for its owner; the scheduler still cleans up after it."""
GONE = "gone"

SETSID, TMUX, SCREEN = "setsid", "tmux", "screen"
DETACHES = (SETSID, TMUX, SCREEN)
"""How a process is let go of, see ``detach.py``."""


@dataclass(frozen=True)
class Job:
    """What the scheduler says of one job; when it cannot say, ``SchedulerUnavailable`` is raised instead.

    ``phase`` is PENDING, RUNNING, ENDING or GONE. ``reason`` is the scheduler's own word; ``hopeless`` marks a
    pending job that can never start. ``how`` says how a job that is gone ended, where the scheduler still knows:
    ``finished``, ``stopped``, ``failed`` or ``time limit``. ``starts_at`` is an estimate while pending. Times are as
    the record writes them. ``restarted`` says of one that runs that it was begun anew after its record was written.
    """

    job_id: str
    phase: str
    reason: str = ""
    hopeless: bool = False
    how: str = ""
    node: str = ""
    starts_at: str = ""
    ends_at: str = ""
    restarted: bool = False


@dataclass(frozen=True)
class Order:
    """A job to submit: ``argv`` is the job script (an absolute path) and its arguments.

    ``name`` is the key under which the job is found again; ``directory`` and ``log`` are absolute paths that exist.
    ``job`` is an allocation that the account has already, to run in; empty submits a job.
    """

    name: str
    argv: tuple[str, ...]
    directory: str
    log: str
    resources: Resources
    job: str = ""


@dataclass(frozen=True)
class Surroundings:
    """Where a job of ``session`` finds itself; ``job`` is as in ``Order``."""

    environment: Mapping[str, str]
    session: str
    job: str = ""


@dataclass(frozen=True)
class Inside:
    """What a job is told of itself by its environment; empty where it is not told.

    ``restarts`` is how often it ended and was put back into the queue; ``ends_at`` is seconds since the epoch.
    """

    job_id: str = ""
    node: str = ""
    restarts: int = 0
    ends_at: float = 0.0


@dataclass(frozen=True)
class Site:
    """What a site calls things that every site may call something else: the facts ``hpc_…`` of these names.

    Empty is what most sites call it. ``memory_per`` is ``slot`` or ``job``.
    """

    parallel_environment: str = ""
    memory_resource: str = ""
    memory_per: str = ""
    gpu_resource: str = ""

    @classmethod
    def of(cls, facts: Mapping[str, object]) -> Site:
        """From facts of an account, of which there may be others."""
        return cls(**{item.name: str(facts.get(item.name) or "") for item in fields(cls)})


class Scheduler(ABC):
    """One scheduler, asked through its own commands on the account, as the account.

    ``root`` is the account's directory, for schedulers that tell jobs by it; ``detach`` is the cluster's
    ``hpc_detach``, for those that start a job themselves; ``site`` holds the cluster's own names for things.
    """

    name: str
    requeues = True
    """Whether a job that has ended may be put back into the queue."""
    steps = False
    """Whether ``step_argv`` can start something in a running job."""
    no_steps = ""
    """Why not: what its own way into a job lacks."""
    settling_seconds = 0.0
    """How long it may say of a job that was just submitted that there is none."""
    keeps_time = True
    """Whether it ends a job whose time is over, and can be asked when that is."""
    only_queue = False
    """Whether ``refusal`` can look at nothing but the queue."""
    refused: Mapping[str, str] = {}
    """The resources that it does not know, and what takes their place."""
    own_options: tuple[str, ...] = ()
    """Options of its submit command that this collection sets itself, or that would let secrets or other jobs in."""

    def __init__(self, *, root: str = "", detach: str = "setsid", site: Site | None = None) -> None:
        self._root = root
        self._detach = detach
        self._site = site or Site()

    def check(self, resources: Resources) -> None:
        """Raise ``BadInput`` for what can never be granted, before anything is written or submitted."""
        for name, hint in self.refused.items():
            if getattr(resources, name):
                raise BadInput(name, f"{self.name} has nothing of that kind", hint=hint)
        for option in resources.extra:
            first = option.split("=" if option.startswith("--") else " ", 1)[0]
            if first in self.own_options:
                raise BadInput("extra", f"{first} is set by hpc.jupyter itself and cannot be given")

    @abstractmethod
    def inside(self, around: Surroundings) -> Inside:
        """What a job is told of itself."""

    def unclear_seconds(self) -> float:
        """How long a submit that was not answered may still turn into a job."""
        return 30.0

    def check_job(self, job: str) -> None:
        """Raise ``BadInput`` unless the account has a job of this id, which runs and can run a session too."""
        raise BadInput(
            "job", f"{job!r} cannot be used: hpc_scheduler is {self.name}, and only slurm runs a session in a job",
            hint="Leave job out on this cluster",
        )

    def step_argv(self, job_id: str, *, node: str, argv: Sequence[str]) -> list[str]:
        """What runs ``argv`` in the running job on ``node``, its input and output passed through unbuffered."""
        raise HpcJupyterError(f"{self.name} starts no steps, so {argv[0]} cannot run in job {job_id} on {node}")

    def refusal(self, resources: Resources) -> str | None:  # noqa: ARG002 - most cannot tell
        """In the scheduler's own words why a job with ``resources`` would be refused, though none is submitted.

        Empty if it would be taken; ``None`` if that is not told beforehand. Raises ``SchedulerUnavailable``.
        """
        return None

    @abstractmethod
    def submit(self, order: Order) -> str:
        """Submit and return the job's id; raises ``SubmitRefused`` or ``SubmitUnclear``."""

    @abstractmethod
    def query(self, job_id: str) -> Job:
        """What is known of one job; raises ``SchedulerUnavailable`` rather than guess ``gone``."""

    def restarts(self, job_id: str) -> int:  # noqa: ARG002 - where nobody counts
        """How often the job has been begun anew; raises ``SchedulerUnavailable``."""
        return 0

    @abstractmethod
    def find(self, name: str) -> list[Job]:
        """The account's jobs called ``name`` that are not GONE; raises ``SchedulerUnavailable``."""

    @abstractmethod
    def sessions(self) -> list[tuple[str, Job]]:
        """All jobs of the account's directory that are not GONE, each after its session's name.

        ``starts_at`` of one that runs is when it started, where the scheduler says so. Raises ``SchedulerUnavailable``.
        """

    @abstractmethod
    def cancel(self, job_id: str) -> None:
        """End a job; one that is already gone is fine. Raises ``SchedulerUnavailable``."""


def split(extra: Iterable[str]) -> list[str]:
    """Options and their values as words of their own: ``-l gpu=1`` is one item of a list, and two words."""
    return [word for option in extra for word in (option.split(" ", 1) if not option.startswith("--") else [option])]


def short_host() -> str:
    """This host's name without its domain, as schedulers name nodes."""
    return socket.gethostname().split(".")[0]


def user() -> str:
    """The account's name."""
    return pwd.getpwuid(os.geteuid()).pw_name

# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface that every scheduler has; adding one is one file beside this and its row in ``__init__.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources

PENDING = "pending"
RUNNING = "running"
ENDING = "ending"
"""Over for its owner; the scheduler still cleans up after it."""
GONE = "gone"


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


class Scheduler(ABC):
    """One scheduler, asked through its own commands on the account, as the account.

    ``root`` is the account's directory, for schedulers that tell jobs by it; ``detach`` is the cluster's
    ``hpc_detach``, for those that start a job themselves.
    """

    name: str
    requeues = True
    """Whether a job that has ended may be put back into the queue."""
    steps = False
    """Whether ``step_argv`` can start something in a running job."""

    def __init__(self, *, root: str = "", detach: str = "setsid") -> None:
        self._root = root
        self._detach = detach

    def check(self, resources: Resources) -> None:  # noqa: B027 - most schedulers judge for themselves, when asked
        """Raise ``BadInput`` for what can never be granted, before anything is written or submitted."""

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

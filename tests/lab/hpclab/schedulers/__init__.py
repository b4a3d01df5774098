"""What runs the jobs of a cluster: one file each, data with the few methods of `Scheduler`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from hpclab.topology import Daemon, File, Host

if TYPE_CHECKING:
    from hpclab.lab import Lab


class Scheduler(Protocol):
    @property
    def kind(self) -> str:
        """The name that inventories use."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Debian package -> a program in it."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The hosts that run jobs."""

    def files(self, host: Host, *, secret: str) -> tuple[File, ...]:
        """What the host needs; nothing for hosts that have no part in the cluster."""

    def directories(self, host: Host) -> Mapping[str, str]:
        """Path -> owner."""

    def daemons(self, host: Host) -> tuple[Daemon, ...]: ...

    def wait_ready(self, lab: "Lab") -> None:
        """Returns once jobs can start; a LabError after its deadline."""

    def cancel(self, lab: "Lab", user: str) -> None:
        """Asks the scheduler to end all jobs of the user."""

    def jobs(self, lab: "Lab", user: str) -> list[str]:
        """The numbers of the user's unfinished jobs."""

    @property
    def controller_process(self) -> tuple[str, str]:
        """The host and the program that knows all jobs."""

    def idle(self, lab: "Lab", user: str) -> bool:
        """Whether the scheduler knows no unfinished job of the user."""

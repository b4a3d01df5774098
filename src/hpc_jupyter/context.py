"""What every command is given."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh import Answer

    from hpc_jupyter.access import Access
    from hpc_jupyter.account import Account, Inventory, Reading
    from hpc_jupyter.connection import Connector
    from hpc_jupyter.progress import Standing
    from hpc_jupyter.results import Hints


@dataclass(frozen=True)
class Context:
    """The options that every command has."""

    inventory: tuple[str, ...] = ()
    as_json: bool = False
    verbosity: int = 0

    @functools.cached_property
    def accounts(self) -> Inventory:
        """The inventory, read once."""
        return self._reading.result()

    def begin_reading(self) -> None:
        """Have the inventory read while something else is done."""
        _ = self._reading

    @functools.cached_property
    def _reading(self) -> Reading:
        from hpc_jupyter.account import Reading

        return Reading(self.inventory)

    @functools.cached_property
    def sources(self) -> tuple[str, ...]:
        """The inventory sources; a missing one is refused."""
        from hpc_jupyter.account import sources

        return sources(self.inventory)

    def account(self, name: str) -> Account:
        """The account called ``name``."""
        return self.accounts.account(name)

    @functools.cached_property
    def progress(self) -> Standing:
        """How progress is shown."""
        from hpc_jupyter.progress import choose

        return choose()

    def access(self, name: str, *, interactive: bool = True) -> Access:
        """The way into the account called ``name``, logged in; asks on the terminal if it must."""
        from hpc_jupyter.access import Access

        access = Access.to(self.account(name).cluster)
        self.log_in(access, interactive=interactive)
        return access

    def log_in(
        self, access: Access, *, interactive: bool = True, look: Callable[[str], Answer] | None = None
    ) -> None:
        """Log in, showing that; ``look`` is what is done with a new login first."""
        try:
            access.log_in(self.progress, interactive=interactive, look=look)
        finally:
            self.progress.done()

    def connector(self, access: Access, session: str) -> Connector:
        """What connects to a session of the account that ``access`` leads to."""
        from hpc_jupyter.connection import Connector

        return Connector(access, session, self.progress, self.hints(access.cluster.account, session))

    def hints(self, account: str, session: str = "default") -> Hints:
        """The commands a person may want next."""
        from hpc_jupyter.results import Hints

        return Hints(inventory=self.inventory, account=account, session=session)

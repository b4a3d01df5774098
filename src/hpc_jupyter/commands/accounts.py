"""``accounts``: who is in the inventory."""

from __future__ import annotations

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops

from hpc_jupyter.account import Account
from hpc_jupyter.context import Context
from hpc_jupyter.results import AccountLine, Accounts


def run(context: Context) -> Accounts:
    """Read the inventory; contacts nobody."""
    found = context.accounts
    return Accounts(found.sources, tuple(_line(item) for _, item in sorted(found.accounts.items())))


def _line(account: Account) -> AccountLine:
    try:
        cluster = account.cluster
    except BadInput as error:
        return AccountLine(account.name, problem=str(error))
    way = "this machine" if cluster.local else " → ".join(hop.host for hop in hops(cluster))
    return AccountLine(
        account.name, cluster=cluster.name, user=cluster.user, scheduler=cluster.scheduler, way=way
    )  # fmt: skip

"""Which accounts ``launch --first`` means, and what cannot be asked of several."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

from hpc_jupyter import options
from hpc_jupyter.account import Account
from hpc_jupyter.commands import connect
from hpc_jupyter.context import Context

OPTION = "--first"


def chosen(accounts: Mapping[str, Account], text: str, *, account: str = "") -> tuple[str, ...]:
    """The accounts in ``text``, each by its own name or by its cluster's; raises ``BadInput``."""
    if account:
        raise BadInput(OPTION, f"names the accounts, and {account!r} is another one", hint=f"Add it: {text},{account}")
    words = [word.strip() for word in text.split(",") if word.strip()]
    found = tuple(dict.fromkeys(_one(accounts, word) for word in words))
    if len(found) < 2:
        raise BadInput(OPTION, f"{text!r} is one account at most", hint="Name two or more, such as cori,hydra")
    return found


def _one(accounts: Mapping[str, Account], word: str) -> str:
    if word in accounts:
        return word
    there = [name for name in accounts if "@" in name and name.rpartition("@")[2] == word]
    if len(there) == 1:
        return there[0]
    if there:
        shown = ", ".join(sorted(there)[:8]) + (" and more" if len(there) > 8 else "")
        raise BadInput(OPTION, f"{word!r} has several accounts", hint=f"Name one of {shown}")
    clusters = sorted({name.rpartition("@")[2] for name in accounts if "@" in name})[:8]
    raise BadInput(
        OPTION, f"{word!r} is neither an account nor a cluster of the inventory",
        hint=f"It has {', '.join(clusters)}" if clusters else "It has none",
    )  # fmt: skip


def check(context: Context, names: tuple[str, ...], wanted: options.Launch) -> None:
    """Refuse what cannot be asked of each of them."""
    if wanted.variables.get("jupyter_session_job"):
        raise BadInput("--job", "is a job of one cluster, and --first submits to several", hint="Leave one of them out")
    for name in names:
        account = context.account(name)
        if account.cluster.local:
            raise BadInput(OPTION, f"{name} is this machine, where nothing waits", hint="Leave it out")
        connect.check(account.cluster, wanted.connection)
        options.check_idle(account, wanted.variables)

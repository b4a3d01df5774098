"""The commands of ``hpc-jupyter ca``."""

from __future__ import annotations

from typing import Any

import click

from hpc_jupyter import decorators
from hpc_jupyter.exits import Exit
from hpc_jupyter.groups import Group, context_of, examples, show

_DIRECTORY = click.option(
    "--directory", default="", metavar="DIR", help="Where the authority is. Default: ca, beside the inventory."
)


@click.group(
    cls=Group,
    short_help="The lab's certificate authority, and the browsers that trust it.",
    epilog=examples("hpc-jupyter ca make", "hpc-jupyter ca show", "hpc-jupyter ca install"),
)
@decorators.common
@click.pass_context
def ca(ctx: click.Context, /, **common: Any) -> None:
    """Make the lab's certificate authority, once, and have browsers trust it.

    It signs the certificates of the accounts' sessions, so that https opens without a warning. It can vouch for this
    very machine (localhost, 127.0.0.1) and for what the admin lists, and for no other site.
    """
    before = ctx.find_root().obj
    ctx.find_root().obj = {
        "inventory": (*before["inventory"], *common["inventory"]),
        "as_json": before["as_json"] or common["as_json"],
        "verbose": before["verbose"] + common["verbose"],
    }


@ca.command(
    short_help="Make the authority, once for a lab.",
    epilog=examples(
        "hpc-jupyter ca make --name 'Chemistry lab' --domain cluster.example.org",
        "hpc-jupyter ca make --passphrase-file ~/.lab-ca",
    ),
)
@click.option("--name", default="hpc-jupyter", show_default=True, metavar="NAME", help="What browsers show.")
@click.option("--domain", multiple=True, metavar="NAME", help="A domain that it may vouch for. Can be repeated.")
@click.option("--network", multiple=True, metavar="CIDR", help="A network that it may vouch for. Can be repeated.")
@click.option(
    "--days", type=click.IntRange(30, 7300), default=3650, show_default=True, metavar="N", help="How long it is good."
)
@click.option("--passphrase-file", default="", metavar="FILE", help="Holds the passphrase. Default: it is asked for.")
@_DIRECTORY
@decorators.common
@click.pass_context
def make(ctx: click.Context, /, directory: str, **values: Any) -> Exit:
    """Make the authority: a certificate for everybody, and a key encrypted with a passphrase, for the admin alone."""
    from hpc_jupyter.commands import ca as command

    context = context_of(ctx, values)
    wanted = command.Wanted(values["name"], values["domain"], values["network"], values["days"])
    return show(context, command.make(context, directory, wanted, passphrase_file=values["passphrase_file"]))


@ca.command(name="show", short_help="Show the authority.", epilog=examples("hpc-jupyter ca show"))
@_DIRECTORY
@decorators.common
@click.pass_context
def show_authority(ctx: click.Context, /, directory: str, **values: Any) -> Exit:
    """Show the authority's fingerprint, how long it is good, what it can vouch for, and which browsers trust it."""
    from hpc_jupyter.commands import ca as command

    context = context_of(ctx, values)
    return show(context, command.show(context, directory))


@ca.command(
    short_help="Have your browsers trust it.",
    epilog=examples("hpc-jupyter ca install", "hpc-jupyter ca install --yes"),
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_DIRECTORY
@decorators.common
@click.pass_context
def install(ctx: click.Context, /, directory: str, yes: bool, **values: Any) -> Exit:
    """Have your own Chromium, Chrome and Firefox trust the authority, and say how to do it elsewhere."""
    from hpc_jupyter.commands import ca as command

    context = context_of(ctx, values)
    return show(context, command.install(context, directory, yes=yes))


@ca.command(short_help="Have them trust it no more.", epilog=examples("hpc-jupyter ca uninstall"))
@_DIRECTORY
@decorators.common
@click.pass_context
def uninstall(ctx: click.Context, /, directory: str, **values: Any) -> Exit:
    """Take the authority out of your own browsers again, and say how to do it elsewhere."""
    from hpc_jupyter.commands import ca as command

    context = context_of(ctx, values)
    return show(context, command.uninstall(context, directory))

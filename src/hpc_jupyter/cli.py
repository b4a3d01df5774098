"""The command line: options in, a result rendered, an exit code out. Everything heavy is imported by the commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hpc_jupyter import cli_ca, decorators, ending
from hpc_jupyter.exits import Exit, epilog
from hpc_jupyter.groups import Group as _Group
from hpc_jupyter.groups import context_of as _context
from hpc_jupyter.groups import examples as _examples
from hpc_jupyter.groups import show as _show

if TYPE_CHECKING:
    from hpc_jupyter.connection import Link
    from hpc_jupyter.context import Context
    from hpc_jupyter.options import Connection


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

        click.echo(f"hpc-jupyter {VERSION}")
        ctx.exit()


@click.group(
    cls=_Group, epilog=epilog(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@decorators.common
@click.pass_context
def cli(ctx: click.Context, /, **common: Any) -> None:
    """JupyterLab on a compute node of a cluster, in the browser of this computer.

    ACCOUNT is a name from the inventory: alice@lab is alice on the cluster lab; local is this machine.
    """
    ctx.obj = common


@cli.command(
    short_help="Get a session and open it in the browser.",
    epilog=_examples(
        "hpc-jupyter launch alice@lab --time 2:00:00 --cpus 4 --memory 8G", "hpc-jupyter launch local",
        "hpc-jupyter launch --first cori,hydra,dice     (wherever it is ready first; the others are cancelled)",
    ),
)  # fmt: skip
@click.argument("account", required=False, default="")
@decorators.first
@decorators.session
@decorators.resources
@decorators.connection
@decorators.common
@click.pass_context
def launch(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Get a session, a new one only if there is none, and open it in the browser.

    An account that was never set up is set up first. On a cluster the connection is held until Ctrl-C, which leaves the
    session running; account local needs no connection, so the command returns.
    """
    from hpc_jupyter.options import launch as checked

    wanted = checked(values, extra_variables=values["variables"], connection=_connection_of(values))
    context = _reading(ctx, values)
    if values["first"]:
        from hpc_jupyter.commands import first

        return _present(context, first.run(context, values["first"], account, wanted), wanted.connection)
    from hpc_jupyter.commands import launch as command

    command.check(account)
    _settle(context, account, values["session"])
    return _present(context, command.run(context, account, wanted), wanted.connection)


@cli.command(short_help="Connect to a session that runs already.", epilog=_examples("hpc-jupyter connect alice@lab"))
@decorators.account
@decorators.session
@decorators.connection
@decorators.common
@click.pass_context
def connect(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Connect to a session that runs already, and open it in the browser."""
    connection = _connection_of(values)
    context = _reading(ctx, values)
    from hpc_jupyter.commands import connect as command

    _settle(context, account, values["session"])
    return command.present(context, command.run(context, account, values["session"], connection), connection)


@cli.command(
    short_help="End this computer's connection; the session goes on.",
    epilog=_examples("hpc-jupyter disconnect alice@lab"),
)
@decorators.account
@decorators.session
@decorators.common
@click.pass_context
def disconnect(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """End the connection that this computer holds; the session goes on."""
    from hpc_jupyter.commands import disconnect as command

    context = _context(ctx, values)
    return _show(context, command.run(account, values["session"]))


@cli.command(
    short_help="Show sessions.",
    epilog=_examples(
        "hpc-jupyter status", "hpc-jupyter status alice@lab --json",
        "hpc-jupyter status --notify     (a word on the desktop when a queued session is ready)",
        "hpc-jupyter status --all --html sessions.html     (a page of the whole inventory)",
    ),
)  # fmt: skip
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@decorators.following
@decorators.common
@click.pass_context
def status(ctx: click.Context, /, accounts: tuple[str, ...], **values: Any) -> Exit:
    """Show the sessions of accounts, by default of all that this computer has used."""
    context = _reading(ctx, values)
    from hpc_jupyter.commands import follow as command

    following = command.Following.of(values, accounts)
    _settle(context)
    return command.run(context, accounts, following)


@cli.command(short_help="Start Jupyter anew in a session's job.", epilog=_examples("hpc-jupyter restart alice@lab"))
@decorators.account
@decorators.session
@decorators.common
@click.pass_context
def restart(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Start Jupyter anew in the job of a session: address and token stay, kernels and their variables are lost."""
    from hpc_jupyter.commands import restart as command

    context = _context(ctx, values)
    return _show(context, command.run(context, account, values["session"]))


@cli.command(
    short_help="End a session, or all.",
    epilog=_examples("hpc-jupyter stop alice@lab", "hpc-jupyter stop alice@lab --all"),
)
@click.argument("account", required=False, default="")
@decorators.session
@click.option("--all", "every", is_flag=True, help="All sessions and jobs of ACCOUNT; without one, of every account.")
@decorators.yes
@decorators.common
@click.pass_context
def stop(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """End a session: its job is cancelled, unsaved work in it is lost."""
    from hpc_jupyter.commands import stop as command

    context = _context(ctx, values)
    is_named = ctx.get_parameter_source("session") is not click.core.ParameterSource.DEFAULT
    command.check(account, every=values["every"], is_named=is_named)
    _settle(context)
    if values["every"]:
        return _show(context, command.run_all(context, account, yes=values["yes"]))
    return _show(context, command.run(context, account, values["session"]))


@cli.command(
    short_help="Find out why an account does not work.",
    epilog=_examples("hpc-jupyter doctor alice@lab", "hpc-jupyter doctor alice@lab --bundle ticket.txt"),
)
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@click.option("--bundle", default="", metavar="FILE", help="Write a report without secrets and names, too.")
@decorators.common
@click.pass_context
def doctor(ctx: click.Context, /, accounts: tuple[str, ...], **values: Any) -> Exit:
    """Look at the way to accounts and at all that a session needs there, by default for all of the inventory.

    Changes nothing. Exit code 0 if nothing failed, 1 if something did; warnings are no failures.
    """
    from hpc_jupyter.commands import doctor as command

    context = _context(ctx, values)
    return _show(context, command.run(context, accounts, bundle=values["bundle"]))


@cli.command(
    short_help="Remove what ended sessions have left.",
    epilog=_examples("hpc-jupyter clean --dry-run", "hpc-jupyter clean alice@lab"),
)
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@click.option("--dry-run", "--check", is_flag=True, help="Only say what would be removed.")
@decorators.yes
@decorators.common
@click.pass_context
def clean(ctx: click.Context, /, accounts: tuple[str, ...], **values: Any) -> Exit:
    """Remove what is dead, on accounts and here: records and logs of ended sessions, and what killed processes left.

    Says what it is and asks first. Nothing that runs is touched.
    """
    from hpc_jupyter.commands import clean as command

    context = _context(ctx, values)
    _settle(context)
    return _show(context, command.run(context, accounts, dry_run=values["dry_run"], yes=values["yes"]))


@cli.command(short_help="Show the end of a session's log.", epilog=_examples("hpc-jupyter logs alice@lab --lines 200"))
@decorators.account
@decorators.session
@click.option(
    "--lines",
    type=click.IntRange(1, 100000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many lines, from the end.",
)
@decorators.common
@click.pass_context
def logs(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Show the end of a session's log: what the job and Jupyter printed."""
    from hpc_jupyter.commands import logs as command

    context = _context(ctx, values)
    return _show(context, command.run(context, account, values["session"], values["lines"]))


@cli.command(short_help="List the accounts of the inventory.", epilog=_examples("hpc-jupyter accounts"))
@decorators.common
@click.pass_context
def accounts(ctx: click.Context, /, **values: Any) -> Exit:
    """List the accounts of the inventory."""
    from hpc_jupyter.commands import accounts as command

    context = _context(ctx, values)
    return _show(context, command.run(context))


@cli.command(
    short_help="See a cluster's host keys, and pin those that are right.",
    epilog=_examples("hpc-jupyter trust lab", "hpc-jupyter trust lab --write --fingerprint SHA256:…"),
)
@click.argument("cluster", metavar="CLUSTER")
@click.option("--write", is_flag=True, help="Pin what is confirmed, in a file beside the lab's accounts file.")
@click.option(
    "--fingerprint", "fingerprints", multiple=True, metavar="SHA256:…", help="What the site told you. Can be repeated."
)
@decorators.common
@click.pass_context
def trust(ctx: click.Context, /, cluster: str, **values: Any) -> Exit:
    """Show which host keys each hop of a cluster presents, to compare with what the site tells on another way.

    For sites that publish no fingerprints: ask an admin there, or look from a place that knows the host already. No
    key is accepted by looking. CLUSTER may be an account too, as which to pass the gateways.
    """
    from hpc_jupyter.commands import trust as command

    context = _context(ctx, values)
    return _show(context, command.run(context, cluster, write=values["write"], fingerprints=values["fingerprints"]))


@cli.command(short_help="Log in once, for the next commands.", epilog=_examples("hpc-jupyter login alice@lab"))
@decorators.account
@decorators.common
@click.pass_context
def login(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Log in to a cluster once, so that the next commands need not ask for a password or a code."""
    from hpc_jupyter.commands import login as command

    context = _context(ctx, values)
    return _show(context, command.run(context, account))


@cli.command(
    short_help="End what login has opened.", epilog=_examples("hpc-jupyter logout alice@lab", "hpc-jupyter logout")
)
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...")
@decorators.common
@click.pass_context
def logout(ctx: click.Context, /, accounts: tuple[str, ...], **values: Any) -> Exit:
    """End the logins of accounts, by default of all, and the connections on them; sessions go on."""
    from hpc_jupyter.commands import logout as command

    context = _context(ctx, values)
    return _show(context, command.run(context, accounts))


@cli.command(
    short_help="Install or repair what sessions need on an account.",
    epilog=_examples("hpc-jupyter setup alice@lab", "hpc-jupyter setup alice@lab --password"),
)
@decorators.account
@click.option("--password", is_flag=True, help="Ask for a password with which the browser can log in too.")
@click.option(
    "-e", "variables", multiple=True, metavar="KEY=VALUE", help="Set a role variable; taken literally. Can be repeated."
)
@decorators.common
@click.pass_context
def setup(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Install or repair what sessions need on an account: the environment with JupyterLab and its configuration."""
    from hpc_jupyter.commands import setup as command
    from hpc_jupyter.options import parse_variables

    context, variables = _context(ctx, values), parse_variables(values["variables"])
    secrets = {"jupyter_server_password": _new_password()} if values["password"] else {}
    return _show(context, command.run(context, account, variables, secrets))


@cli.command(
    short_help="Let your key into an account, and set it up.",
    epilog=_examples("hpc-jupyter onboard alice@lab"),
)
@decorators.account
@click.option(
    "-e", "variables", multiple=True, metavar="KEY=VALUE", help="Set a role variable; taken literally. Can be repeated."
)
@decorators.common
@click.pass_context
def onboard(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Let your key into an account of yours, once, with the password or code that it asks for; then set it up.

    This is what the owner of an account runs that the lab's admin cannot enter.
    """
    from hpc_jupyter.commands import onboard as command
    from hpc_jupyter.options import parse_variables

    context, variables = _context(ctx, values), parse_variables(values["variables"])
    return _show(context, command.run(context, account, variables))


@cli.command(
    short_help="Write a folder for a person without Python, or with Windows.",
    epilog=_examples("hpc-jupyter kit alice@lab", "hpc-jupyter kit alice@lab --directory /media/stick/lab"),
)
@decorators.account
@decorators.session
@click.option("--directory", default="", metavar="DIR", help="Where; by default hpc-jupyter-ACCOUNT, here.")
@decorators.common
@click.pass_context
def kit(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Write a folder with which plain ssh is enough: an ssh config, programs that connect, and a page that explains."""
    from hpc_jupyter.commands import kit as command

    context = _context(ctx, values)
    return _show(context, command.run(context, account, values["directory"], values["session"]))


cli.add_command(cli_ca.ca)


@cli.command(hidden=True)
@decorators.account
@decorators.session
@decorators.connection
@decorators.common
@click.pass_context
def hold(ctx: click.Context, /, account: str, **values: Any) -> Exit:
    """Hold a connection in the background; started by --detach."""
    from hpc_jupyter.commands import hold as command

    return command.run(_context(ctx, values), account, values["session"], _connection_of(values).wanted)


def _reading(ctx: click.Context, values: dict[str, Any]) -> Context:
    """The context of a command that needs the inventory: it is read while the command itself is loaded."""
    context = _context(ctx, values)
    context.begin_reading()
    return context


def _settle(context: Context, account: str = "", session: str = "") -> None:
    """Finish what a killed ``launch --first`` has left; most of the time there is nothing."""
    from hpc_jupyter import journal

    if journal.left():
        from hpc_jupyter.commands import first

        first.settle(context, account=account, session=session)


def _present(context: Context, link: Link, connection: Connection) -> Exit:
    """Show the connection in the way that was asked for, and hold it."""
    from hpc_jupyter.commands.connect import present

    return present(context, link, connection)


def _connection_of(values: dict[str, Any]) -> Connection:
    from hpc_jupyter.options import Connection
    from hpc_jupyter.ports import Wanted, parse_forward

    wanted = Wanted(values["port"] or 0, tuple(parse_forward(text) for text in values["forward"]))
    return Connection(
        wanted, browser=not values["no_browser"], detach=values["detach"], explain=values["explain"]
    )  # fmt: skip


def _new_password() -> str:
    from hpc_jupyter.options import check_terminal

    check_terminal("--password")
    return str(click.prompt("Password for JupyterLab", hide_input=True, confirmation_prompt=True, err=True))


def main() -> None:
    """The entry point."""
    sys.exit(ending.exit_code_of(cli, sys.argv[1:]))


if __name__ == "__main__":
    main()

"""The options that several commands have, as decorators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def common(function: F) -> F:
    """Options that every command has, before or after its name."""
    options = (
        click.option("-i", "--inventory", multiple=True, metavar="INVENTORY", help=_INVENTORY_HELP),
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else, on standard output."
        ),
        click.option("-v", "--verbose", count=True, help="Show what Ansible says, on standard error; repeat for more."),
    )
    for option in reversed(options):
        function = option(function)
    return function


_INVENTORY_HELP = (
    "Where the accounts are described; can be repeated. Default: $HPC_JUPYTER_INVENTORY, "
    "~/.config/hpc-jupyter/inventory, or the one that comes with hpc-jupyter (account: local)."
)

account = click.argument("account", metavar="ACCOUNT")
session = click.option("--session", default="default", show_default=True, metavar="NAME", help="Which session.")

first = click.option(
    "--first", default="", metavar="CLUSTER,...",
    help="In place of ACCOUNT: submit to all of these clusters or accounts, and keep what is ready first.",
)  # fmt: skip


yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


def connection(function: F) -> F:
    options = (
        click.option(
            "--port",
            type=click.IntRange(1024, 65535),
            metavar="PORT",
            help="Local port. Default: a free one, the same each time.",
        ),
        click.option(
            "--forward",
            multiple=True,
            metavar="[LOCAL:]PORT",
            help="Lead to another port of the node's 127.0.0.1 too, such as 8787 of Dask. Can be repeated.",
        ),
        click.option("--no-browser", is_flag=True, help="Print the URL instead of opening it."),
        click.option(
            "--detach", is_flag=True, help="Leave the connection to a background process; `disconnect` ends it."
        ),
        click.option("--explain", is_flag=True, help="Say how the session is reached: routes and ssh commands."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def following(function: F) -> F:
    options = (
        click.option(
            "--all", "everybody", is_flag=True,
            help="Of all accounts of the inventory, other people's too; nobody is asked for a password.",
        ),
        click.option("--watch", is_flag=True, help="Ask again and again, until Ctrl-C."),
        click.option(
            "--every", type=click.IntRange(5, 3600), default=30, show_default=True, metavar="SECONDS",
            help="How often to ask.",
        ),
        click.option("--html", default="", metavar="FILE", help="Write a page of it too, which a phone can show."),
        click.option(
            "--notify", is_flag=True,
            help="Tell the desktop when a session that waits is ready or over; ends when none waits any more.",
        ),
        click.option(
            "--notify-command", default="", metavar="COMMAND",
            help="Run COMMAND MESSAGE then instead, without a shell; it finds HPC_JUPYTER_ACCOUNT, _SESSION, _STATE, "
            "_NODE and _JOB_ID in its environment.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


_RESOURCES = (
    ("--time", "[D-]H:MM:SS", "Walltime, such as 2:00:00."),
    ("--cpus", "N", "Cores."),
    ("--memory", "SIZE", "Memory of the node, such as 8G."),
    ("--gpus", "[TYPE:]N", "GPUs, such as 1 or a100:2."),
    ("--gres", "GRES", "Further generic resources, as the scheduler writes them."),
    ("--partition", "NAME", "Partition or queue."),
    ("--project", "NAME", "The account, project or allocation that is charged."),
    ("--qos", "NAME", "Quality of service."),
    ("--constraint", "FEATURES", "Node features that are needed."),
    ("--reservation", "NAME", "Reservation to run in."),
    ("--nodes", "N", "Number of nodes."),
    ("--mail-user", "ADDRESS", "Whom the scheduler sends mail."),
    ("--mail-type", "TYPES", "When it sends mail, such as BEGIN."),
    ("--dependency", "JOBS", "Jobs to wait for, such as afterok:123."),
    ("--job", "ID", "Run in a job that you have already, as after salloc; stop leaves it."),
    ("--directory", "PATH", "Where notebooks open; absolute or starting with ~/."),
)


def resources(function: F) -> F:
    options = [click.option(name, metavar=metavar, help=text) for name, metavar, text in _RESOURCES]
    options += [
        click.option("--exclusive", is_flag=True, help="The whole node for this job alone."),
        click.option(
            "--extra",
            multiple=True,
            metavar="OPTION",
            help="Another option of the scheduler, such as --extra=--licenses=a:1. Can be repeated.",
        ),
        click.option("--anyway", is_flag=True, help="Launch a new session also where the site has a JupyterHub."),
        click.option(
            "--interface", metavar="NAME", help="What opens: lab (the default), notebook or nbclassic."
        ),
        click.option("--nice", metavar="N", help="Stand back for others on the node, from 0 to 19."),
        click.option(
            "--idle",
            metavar="[D-]H:MM:SS",
            help="End the session after this long without use, such as 2:00:00; 0 never, where that is allowed.",
        ),
        click.option("--idle-seconds", type=click.IntRange(0), hidden=True),
        click.option(
            "--wait-seconds",
            type=click.IntRange(0),
            metavar="N",
            help="Watch a queued job for N seconds, then leave it queued, or with --first cancel it. Default: until "
            "Ctrl-C.",
        ),
        click.option(
            "-e",
            "variables",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set a role variable; taken literally. Can be repeated.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function

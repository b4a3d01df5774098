"""The lab's command: `python -m hpclab`."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import click

from . import packages, state, topologies
from .errors import LabError
from .lab import Lab, require_root

_DEFAULT = "lab"
_P = ParamSpec("_P")

_name = click.option("--name", default=_DEFAULT, show_default=True, help="Which lab, where several are up.")
_user = click.option("--user", default="root", show_default=True, help="As whom.")


def _clear(command: Callable[_P, None]) -> Callable[_P, None]:
    """A LabError is a message and exit status 1."""

    @wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except LabError as error:
            raise click.ClickException(str(error)) from None

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A cluster in network namespaces: a laptop, a gateway, login hosts, compute nodes."""


@main.command()
@click.argument("topology", type=click.Choice(list(topologies.BY_NAME)), default=topologies.SLURM.name)
@_name
@_clear
def up(topology: str, name: str) -> None:
    """Bring a lab up; it stays until `down`."""
    require_root()
    current = state.load(name)
    if current and current.running:
        click.echo(f"lab {name} ({current.topology}) is up already\n")
        topology = current.topology
    else:
        Lab.up(topologies.BY_NAME[topology], name=name, keep=True)
    click.echo(_how_to_use(topologies.BY_NAME[topology], name))


@main.command()
@click.option("--name", default=None, help=f"Which one. [default: {_DEFAULT}, and all whose owner has died]")
@_clear
def down(name: str | None) -> None:
    """End a lab; nothing of it remains."""
    require_root()
    known = {each: state.load(each) for each in state.names()}
    abandoned = [each for each, current in known.items() if each == _DEFAULT or not current or current.orphaned]
    for each in [name] if name else abandoned:
        state.remove(each)


@main.command(name="list")
@_clear
def list_labs() -> None:
    """Show the labs there are, and those whose owner has died."""
    require_root()
    for name in state.names():
        click.echo(f"{name}: {_condition(state.load(name))}")


@main.command()
@click.argument("host")
@_name
@_user
@_clear
def shell(host: str, name: str, user: str) -> None:
    """A login shell on HOST."""
    there = _attach(name).host(host)
    terminal = {"TERM": os.environ.get("TERM", "dumb")}
    _become(there.argv([there.users[user].login_shell, "-l"], user=user, env=terminal, interactive=True))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_name
@_user
@_clear
def run(host: str, command: tuple[str, ...], name: str, user: str) -> None:
    """Run a command on HOST; its exit status is ours."""
    _become(_attach(name).host(host).argv(command, user=user, interactive=True))


@main.command()
@click.argument("host")
@_name
@_clear
def cut(host: str, name: str) -> None:
    """Pull the network cables of HOST."""
    _attach(name).cut(host)


@main.command()
@click.argument("host")
@_name
@_clear
def heal(host: str, name: str) -> None:
    """Plug them in again."""
    _attach(name).heal(host)


@main.command(name="packages")
@click.option("--missing", is_flag=True, help="Only those that are not installed.")
def list_packages(*, missing: bool) -> None:
    """Print the Debian packages that labs need, one a line."""
    needs = [need for each in topologies.BY_NAME.values() for need in each.needs]
    for package in packages.missing(*needs) if missing else sorted(set().union(*needs)):
        click.echo(package)


def _attach(name: str) -> Lab:
    require_root()
    current = state.load(name)
    if not current or current.topology not in topologies.BY_NAME:
        raise LabError(f"no lab {name!r} is up; `up` brings one up, `list` shows them")
    return Lab.attach(topologies.BY_NAME[current.topology], name)


def _become(argv: list[str]) -> None:
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 - an argv list, and no process of ours in between


def _condition(current: state.State | None) -> str:
    if current is None:
        return "broken: `down --name` removes it"
    if not current.running:
        return "not running"
    if current.owner is None:
        return f"{current.topology}, up until `down`"
    return f"{current.topology}, owner {current.owner.pid} " + ("has died" if current.orphaned else "is running")


def _how_to_use(topology: topologies.Topology, name: str) -> str:
    option = "" if name == _DEFAULT else f" --name {name}"
    cluster, user = topology.clusters[0], topology.users[0].name
    jump = f"-J {','.join(cluster.gateways)} " if cluster.gateways else ""
    login = topology.names.get(cluster.login_hosts[0], cluster.login_hosts)[0]
    node = topology.hosts[-1].name
    hosts = " ".join(host.name for host in topology.hosts)
    accounts = ", ".join(f"{each.name} ({each.login_shell}, password {each.password!r})" for each in topology.users)
    return f"""\
Lab {name} is up.
  hosts     {hosts}
  accounts  {accounts}

  hpclab shell client --user {user}{option}       the laptop; from there: ssh {jump}{cluster.login_hosts[0]}
  hpclab run {login} --user {user}{option} -- id
  hpclab cut {node}{option}; hpclab heal {node}{option}
  hpclab down{option}

where hpclab is: PYTHONPATH=tests/lab .venv/bin/python -m hpclab"""

"""What the command line and its groups have in common: how help looks, what a command is given, what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hpc_jupyter.context import Context
    from hpc_jupyter.exits import Exit
    from hpc_jupyter.render import Result


class Command(click.Command):
    """A command whose help ends with its example as it was written, and points to the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the epilog without wrapping it."""
        if self.epilog:
            formatter.write("\n" + self.epilog + "\n")


class Group(click.Group):
    """The commands in the order in which a person needs them."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Unsorted."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the epilog without wrapping it."""
        formatter.write("\n" + (self.epilog or "") + "\n")


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\n".join(["Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


def context_of(ctx: click.Context, values: dict[str, Any]) -> Context:
    """What every command gets, from options that may stand before and after its name."""
    from hpc_jupyter.context import Context
    from hpc_jupyter.options import check_home

    check_home()
    before = ctx.find_root().obj
    return Context(
        inventory=(*before["inventory"], *values["inventory"]),
        as_json=before["as_json"] or values["as_json"],
        verbosity=before["verbose"] + values["verbose"],
    )


def show(context: Context, result: Result) -> Exit:
    """Print a result; the exit code it leads to."""
    from hpc_jupyter import render

    return render.show(result, as_json=context.as_json)

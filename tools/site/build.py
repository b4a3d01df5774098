"""Build the documentation site in .build/site, without a network; a warning is an error.

The pages are those of the repository, at the same places, so that links between them work in both. The reference is
made of the plugins' own documentation, the pages about the command of what its --help prints.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from hpc_jupyter import cli, exits

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build"
SOURCE = BUILD / "site-source"
SITE = BUILD / "site"
HERE = Path(__file__).parent
PAGES = ("*.md", "CHANGELOG.rst", "docs/**/*.md", "docs/*.yml", "roles/*/README.md", "tests/lab/README.md")


def main() -> None:
    """Collect, generate, build; say where the site is."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for directory in (SOURCE, SOURCE / "reference"):
        directory.mkdir(parents=True, mode=0o700)  # antsibull-docs wants it private
    _collect()
    (SOURCE / "command.md").write_text(_command_page(), encoding="utf-8")
    _run("antsibull-docs", "collection", "--use-current", "--fail-on-error", "--squash-hierarchy", "--dest-dir",
         str(SOURCE / "reference"), "hpc.jupyter")  # fmt: skip
    _run("sphinx-build", "-q", "-E", "-W", "--keep-going", "-n", "-d", str(BUILD / "site-doctrees"), str(SOURCE),
         str(SITE))  # fmt: skip
    print(SITE / "index.html")


def _collect() -> None:
    pages = {page for pattern in PAGES for page in ROOT.glob(pattern)}
    for page in pages:
        target = SOURCE / page.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, target)
    shutil.copy(HERE / "conf.py", SOURCE)
    (SOURCE / "index.md").write_text(_front_page(), encoding="utf-8")


def _front_page() -> str:
    """The one that is written by hand; pages that it gives no place come last."""
    written = (HERE / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT).with_suffix("").as_posix() for page in sorted(ROOT.glob("docs/*.md"))]
    further = [page for page in pages if page not in written.split()]
    return "\n".join([written, "```{toctree}", ":caption: More", ":maxdepth: 1", ":hidden:", "", *further, "```", ""])


def _run(program: str, *arguments: str) -> None:
    """Run a program of our own environment, which finds `ansible` there and the collection in the checkout."""
    programs = Path(sys.executable).parent
    environ = {
        **os.environ,
        "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": str(BUILD),
    }
    argv = [str(programs / program), *arguments]
    if subprocess.run(argv, cwd=ROOT, env=environ, check=False, timeout=300).returncode:
        sys.exit(f"the site was not built: {program} failed")


def _command_page() -> str:
    """Every command's help as it prints it, and the exit codes as a table."""
    rows = [f"| {code.value} | {text} |" for code, text in exits.MEANINGS.items()]
    codes = "\n".join(["## Exit codes", "", "| code | meaning |", "|---|---|", *rows])
    return "\n\n".join(["# The command", codes, *_sections(cli.cli, "hpc-jupyter", None)]) + "\n"


def _sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, parent=parent, info_name=name, terminal_width=100, **command.context_settings)
    yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```"
    if isinstance(command, click.Group):
        for inner, below in command.commands.items():
            if not below.hidden:
                yield from _sections(below, inner, context)


if __name__ == "__main__":
    main()

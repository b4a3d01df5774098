"""``ca``: the lab's certificate authority, from making it to the browsers that trust it."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authority import Authority

from hpc_jupyter import stores
from hpc_jupyter.certificate import colons, command_line, place
from hpc_jupyter.context import Context
from hpc_jupyter.errors import Failure
from hpc_jupyter.exits import Exit

_PASSPHRASE_BYTES = 4096
_KEYCHAIN = "~/Library/Keychains/login.keychain-db"


@dataclass(frozen=True)
class Wanted:
    """What an authority is to be called, what it may vouch for beside this machine, and for how many days."""

    name: str
    domains: tuple[str, ...]
    networks: tuple[str, ...]
    days: int


@dataclass(frozen=True)
class Shown:
    """An authority, and what was done with it: ``done`` are sentences, ``problems`` stores that could not be read."""

    authority: Authority
    done: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    changed: bool = False
    problems: tuple[str, ...] = ()

    @property
    def code(self) -> Exit:
        """Whether all that was to be looked at could be."""
        return Exit.FAILED if self.problems else Exit.OK

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        lab = self.authority
        return {
            "name": lab.name, "certificate": lab.place.certificate, "sha256": lab.sha256, "days_left": lab.days_left,
            "domains": list(lab.domains), "networks": list(lab.networks), "key": lab.has_key, "changed": self.changed,
            "trusted_by": [str(store.path) for store in stores.trusting(os.environ, lab)[0]],
            "problems": list(self.problems),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """What it is, then what to do next."""
        unread = [f"Not looked at: {problem}" for problem in self.problems]
        return [*self.done, *unread, *described(self.authority), *self.more]


def described(lab: Authority) -> list[str]:
    """The authority as a person compares it."""
    end = f"{lab.certificate.not_valid_after_utc:%Y-%m-%d}"
    left = f"{end}, in {lab.days_left} days" if lab.days_left >= 0 else f"{end}: it has ended"
    return [
        f"Authority:    {lab.name} ({lab.place.certificate})",
        f"SHA-256:      {colons(lab.sha256)}",
        f"Ends:         {left}",
        f"Vouches for:  {', '.join((*lab.domains, *lab.networks))}, and nothing else",
        f"Its key:      {lab.place.key if lab.has_key else 'not on this machine'}",
    ]


def make(context: Context, directory: str, wanted: Wanted, *, passphrase_file: str) -> Shown:
    """Make the authority; the passphrase is asked for on the terminal, or comes from a file."""
    where = place(context, directory)
    authority.check_free(where)
    passphrase = _from_file(passphrase_file) if passphrase_file else _asked()
    made = authority.make(
        where, name=wanted.name, passphrase=passphrase, domains=wanted.domains, networks=wanted.networks,
        days=wanted.days,
    )  # fmt: skip
    more = (
        "Keep the passphrase: without it, no certificate can be signed. Give nobody the key.",
        f"Next: {command_line(context, directory, 'install')} on everybody's computer; tell them the SHA-256 yourself",
        "Then: ansible-playbook hpc.jupyter.certificates",
    )
    return Shown(made, ("The authority is made",), more, changed=True)


def show(context: Context, directory: str) -> Shown:
    """The authority, and the browsers that trust it."""
    lab = _there(context, directory)
    trusting, problems = stores.trusting(os.environ, lab)
    none = () if problems else ("Trusted by:   no browser of yours that hpc-jupyter knows of",)
    return Shown(lab, more=tuple(f"Trusted by:   {store.label}" for store in trusting) or none, problems=problems)


def install(context: Context, directory: str, *, yes: bool) -> Shown:
    """Put it into the person's own stores, once they have said so; for other stores say how."""
    lab = _there(context, directory)
    if lab.days_left < 0:
        raise Failure(f"{lab.obstacle(passphrase=True)}; it is not installed")
    wanted = [store for store in stores.stores(os.environ) if not stores.has(store, lab)]
    if wanted:
        _confirm([*described(lab), *(f"To trust it:  {store.label}" for store in wanted)], yes=yes)
    for store in wanted:
        stores.add(store, lab)
    done = [f"Now it is trusted by {store.label}; start that browser anew" for store in wanted] or [_nothing()]
    return Shown(lab, tuple(done), by_hand(lab), changed=bool(wanted))


def uninstall(context: Context, directory: str) -> Shown:
    """Take it out of the person's own stores."""
    lab = _there(context, directory)
    trusting, problems = stores.trusting(os.environ, lab)
    for store in trusting:
        stores.remove(store, lab)
    none = () if problems else ("No browser of yours trusts it",)
    done = tuple(f"It is no longer trusted by {store.label}" for store in trusting) or none
    return Shown(lab, done, by_hand(lab, undo=True), changed=bool(trusting), problems=problems)


def by_hand(lab: Authority, *, undo: bool = False, pem: str = "") -> tuple[str, ...]:
    """Exact commands for the stores that are not ours to change; ``pem`` is another copy of the certificate."""
    pem, name = shlex.quote(pem or lab.place.certificate), f"hpc-jupyter-{lab.sha256[:16]}"
    debian, rhel = f"/usr/local/share/ca-certificates/{name}.crt", f"/etc/pki/ca-trust/source/anchors/{name}.pem"
    settings = "Settings, Privacy & Security, View Certificates, Authorities"
    if undo:
        return (
            "Elsewhere, by hand:",
            f"  Debian, Ubuntu:  sudo rm {debian} && sudo update-ca-certificates --fresh",
            f"  RHEL, Fedora:    sudo rm {rhel} && sudo update-ca-trust",
            f'  macOS:           security delete-certificate -c "{lab.name}" -t',
            f'  Windows:         certutil -user -delstore Root "{lab.name}"',
            f'  Firefox:         {settings}: "{lab.name}", Delete or Distrust',
        )
    return (
        "Elsewhere, by hand:",
        f"  Debian, Ubuntu:  sudo cp {pem} {debian} && sudo update-ca-certificates",
        f"  RHEL, Fedora:    sudo cp {pem} {rhel} && sudo update-ca-trust",
        f"  macOS:           security add-trusted-cert -r trustRoot -p ssl -k {_KEYCHAIN} {pem}",
        "  Windows:         certutil -user -addstore Root ca.pem",
        f"  Firefox:         {settings}, Import: ca.pem, to identify websites",
    )


def _there(context: Context, directory: str) -> Authority:
    where = place(context, directory)
    lab = authority.read(where)
    if lab is None:
        raise Failure(
            f"there is no authority: {where.certificate} does not exist. "
            f"The lab's admin makes it once: {command_line(context, directory, 'make')}"
        )
    return lab


def _nothing() -> str:
    if stores.stores(os.environ):
        return "Your browsers trust it already"
    return "No browser of yours has a store that hpc-jupyter can write to"


def _confirm(lines: Sequence[str], *, yes: bool) -> None:
    """Whoever holds the authority's key could deceive this browser about this very machine: that is for its owner."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("--yes", "without a terminal nobody can be asked whether to trust the authority", hint="Add it")
    click.echo("\n".join([*lines, "Compare the SHA-256 with the one that your lab's admin has given you."]), err=True)
    if not click.confirm("Is it the same, and shall these browsers trust it?", err=True):
        raise Failure("nothing was changed", code=Exit.INTERRUPTED)


def _asked() -> str:
    if not sys.stdin.isatty():
        raise BadInput("--passphrase-file", "is needed where there is no terminal to ask for the passphrase on")
    return str(click.prompt("Passphrase for the authority's key", hide_input=True, confirmation_prompt=True, err=True))


def _from_file(name: str) -> str:
    path = os.path.expanduser(name)
    try:
        with open(path, encoding="utf-8") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            text = stream.read(_PASSPHRASE_BYTES).rstrip("\r\n")
    except (OSError, ValueError) as error:
        problem = f"{path} cannot be read: {getattr(error, 'strerror', '') or 'it is not text'}"
        raise BadInput("--passphrase-file", problem) from None
    if mode & 0o077:
        raise BadInput("--passphrase-file", f"others could read {path}", hint=f"Take it from them: chmod 600 {path}")
    return text

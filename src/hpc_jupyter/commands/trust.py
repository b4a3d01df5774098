"""``trust``: what each hop of a cluster presents, for comparison, and pins for what has been confirmed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import host_keys, ssh, ssh_config
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authorized_keys import Asked
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Pin
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.presented import presented

from hpc_jupyter.access import askpass
from hpc_jupyter.context import Context
from hpc_jupyter.exits import Exit
from hpc_jupyter.inventory import accounts_file
from hpc_jupyter.state import known_accounts


@dataclass(frozen=True)
class HopKeys:
    """One hop: the keys it presents, those that were pinned before, and whether it is to be trusted."""

    kind: str
    host: str
    keys: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    trusted: bool = False
    problem: str = ""

    def lines(self) -> list[str]:
        """What a person compares with what the site says."""
        if self.problem:
            return [f"{self.kind} {self.host}: {self.problem}"]
        return [f"{self.kind} {self.host} {self._state()}", *(f"  {key}" for key in self.keys)]

    @property
    def is_pinned(self) -> bool:
        """Whether a key that it presents was pinned before."""
        return not {_fingerprint(key) for key in self.keys}.isdisjoint(map(_fingerprint, self.pinned))

    def _state(self) -> str:
        if not self.pinned:
            return "presents"
        return "presents, as pinned" if self.is_pinned else f"presents other keys than those pinned: {self.pinned[0]}"


@dataclass(frozen=True)
class Trusted:
    """The hops of a cluster; ``file`` is where pins are written, those of the hosts ``written`` in this run."""

    cluster: str
    hops: tuple[HopKeys, ...]
    file: str = ""
    written: tuple[str, ...] = ()

    @property
    def code(self) -> Exit:
        """Whether every hop is trusted now."""
        if any(hop.problem for hop in self.hops):
            return Exit.UNREACHABLE
        return Exit.OK if all(hop.trusted for hop in self.hops) else Exit.FAILED

    def to_json(self) -> Any:
        """The object that ``--json`` prints."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The hops, and the lines to put into the inventory."""
        shown = [line for hop in self.hops for line in hop.lines()]
        written = [f"Pinned in {self.file}: {', '.join(self.written)}"] if self.written else []
        return [*shown, *written, *self._to_paste()]

    def _to_paste(self) -> list[str]:
        fresh = [hop for hop in self.hops if hop.keys and not hop.is_pinned and hop.host not in self.written]
        if not fresh:
            return []
        pins = [f'  {hop.host}: [{", ".join(_quoted(key) for key in hop.keys)}]' for hop in fresh]
        return ["Compare with what the site tells you on another way. What is the same belongs into the inventory:",
                "hpc_host_keys:", *pins]  # fmt: skip


def run(context: Context, name: str, *, write: bool, fingerprints: Sequence[str]) -> Trusted:
    """Look at one hop after the other; those behind a hop can be seen once that one is trusted."""
    fingerprints = [_published(text) for text in fingerprints]
    cluster = _cluster(context, name)
    file = _file(context, cluster) if write else ""
    if write and not fingerprints and not sys.stdin.isatty():
        hint = "Give what the site told you: --fingerprint"
        raise BadInput("--write", "without a terminal nobody can be asked", hint=hint)
    found = tuple(_look(context, cluster, fingerprints=fingerprints, asks=write))
    return Trusted(cluster.name, found, file=file, written=_pin(file, cluster, found) if file else ())


def _cluster(context: Context, name: str) -> Cluster:
    """The cluster by its own name, as the account that this computer has used, else the first; or by an account's."""
    names = [name]
    if name not in context.accounts.accounts:
        names = [each for each in sorted(context.accounts.accounts) if each.rpartition("@")[2] == name] or names
    used = [each for each in names if each in known_accounts()]
    cluster = context.account((used or names)[0]).cluster
    if cluster.local:
        raise BadInput("CLUSTER", f"{name} is this machine, which presents no host key")
    return cluster


def _file(context: Context, cluster: Cluster) -> str:
    found = accounts_file(context.accounts.sources, cluster.name)
    if found:
        return host_keys.beside(found)
    raise BadInput("--write", f"{cluster.name} is in no accounts file, beside which there is a place for pins",
                   hint="Leave --write out, and put the lines into the inventory yourself")


def _look(context: Context, cluster: Cluster, *, fingerprints: Sequence[str], asks: bool) -> Iterator[HopKeys]:
    """Every hop up to the first that cannot be seen."""
    way = hops(cluster)
    for index, hop in enumerate(way):
        before = tuple(str(pin) for pin in cluster.pins(hop.host))
        context.progress.now(f"Asking {hop} for its keys")
        try:
            keys = _presented(cluster, index=index)
        except ssh.ConnectFailed as error:
            problem = str(error).removeprefix(f"{cluster.name}: ").removeprefix(f"{hop}: ")
            yield HopKeys(hop.kind, hop.host, pinned=before, problem=problem)
            return
        finally:
            context.progress.done()
        seen = HopKeys(hop.kind, hop.host, tuple(str(key) for key in keys), before)
        known = {pin.fingerprint for pin in cluster.pins(hop.host)}
        trusted = _agreed(seen, keys, known, fingerprints=fingerprints, asks=asks or index < len(way) - 1)
        if trusted:
            others = tuple(pair for pair in cluster.host_keys if pair[0] != hop.host)
            cluster = replace(cluster, host_keys=(*others, (hop.host, trusted)))
        yield replace(seen, keys=tuple(map(str, trusted or keys)), trusted=bool(trusted))


def _presented(cluster: Cluster, *, index: int) -> tuple[Pin, ...]:
    files = ssh_config.write(cluster)
    try:
        return presented(cluster, index=index, asked=Asked(files.batch_config, {}))
    except ssh.ConnectFailed:
        if not index or not sys.stdin.isatty():
            raise
    # Every connection may cost a person a code.
    environment = ssh.asking_environment(askpass(files), {})
    return presented(cluster, index=index, asked=Asked(files.asking_config, environment), once=True)


def _agreed(
    seen: HopKeys, keys: Sequence[Pin], known: set[str], *, fingerprints: Sequence[str], asks: bool
) -> tuple[Pin, ...]:
    """The keys that are trusted: those pinned already, those whose fingerprint was given, or what a person confirms."""
    if known & {key.fingerprint for key in keys}:
        return tuple(key for key in keys if key.fingerprint in known)
    if fingerprints:
        return tuple(key for key in keys if key.fingerprint in fingerprints)
    if not asks or not sys.stdin.isatty():
        return ()
    click.echo("\n".join(seen.lines()), err=True)
    return tuple(keys) if click.confirm("Is that what the site has told you on another way?", err=True) else ()


def _pin(file: str, cluster: Cluster, found: Sequence[HopKeys]) -> tuple[str, ...]:
    """Write what has been confirmed, instead of what this file said before; the hosts.

    What the accounts file itself pins counts more, and is for its owner to correct.
    """
    pins = host_keys.read(file)
    ours = pins.get(cluster.name, {})
    confirmed = [hop for hop in found if hop.trusted and not hop.is_pinned]
    fresh = {hop.host: list(hop.keys) for hop in confirmed if list(hop.pinned) == ours.get(hop.host, [])}
    if fresh:
        host_keys.write(file, {**pins, cluster.name: {**ours, **fresh}})
    return tuple(fresh)


def _published(text: str) -> str:
    """A fingerprint as sites write it, with or without the key's kind behind it."""
    found = _fingerprint(text.strip())
    if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", found):
        raise BadInput("--fingerprint", f"{text!r} is not a fingerprint", hint="It is SHA256: and 43 characters")
    return found


def _fingerprint(key: str) -> str:
    return key.partition(" ")[0]


def _quoted(text: str) -> str:
    return f'"{text}"'

"""Where the rows are measured: two labs, each made when a row first needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from hpclab import Bind, topologies
from tests import laptop, wheelhouse
from tests.bench.desk import PEER, Desk
from tests.bench.rounds import Settings, say
from tests.scale.office import MANY, Office

_LOCK = laptop.ROOT / "requirements/peer.txt"
_QUIET = replace(topologies.SLURM, hosts=tuple(replace(host, notice="") for host in topologies.SLURM.hosts))
"""Without the notice that profiles print: the peer takes it for the name of its shell."""


class Places:
    """The labs, and how often and how long things are measured; ``notes`` are told below the table."""

    def __init__(self, stack: ExitStack, settings: Settings) -> None:
        self._stack = stack
        self.settings = settings
        self.notes: list[str] = []

    @cached_property
    def desk(self) -> Desk:
        """A laptop, a gateway, and a cluster with Slurm."""
        say("bringing the cluster up")
        binds = [Bind(source=str(_peer()), target=PEER, hosts=("client",))]
        lab = self._stack.enter_context(laptop.up(f"bench-{os.getpid()}", topology=_QUIET, binds=binds))
        desk = Desk(laptop.Laptop(lab))
        desk.furnish()
        return desk

    @cached_property
    def office(self) -> Office:
        """An admin with many accounts on three clusters, all of them set up."""
        say("bringing three clusters up")
        lab = self._stack.enter_context(laptop.up(f"bench-many-{os.getpid()}", topology=MANY))
        office = Office(laptop.Laptop(lab, "admin"))
        office.furnish()
        say("setting all accounts up")
        done = office.play("onboard").done
        if done.returncode:
            raise AssertionError(done.stdout)
        return office


def _peer() -> Path:
    """The peer in an environment of its own, from its lock; its programs run from any place."""
    place = laptop.ROOT / ".build" / "bench" / "peer"
    made = place / "made"
    if not made.exists() or made.read_bytes() != _LOCK.read_bytes():
        uv = str(Path(sys.executable).with_name("uv"))
        venv = [uv, "venv", "-q", "--clear", "--offline", "--relocatable", "--python", "/usr/bin/python3", str(place)]
        wheels = wheelhouse.wheelhouse(locks=(_LOCK,))
        source = ["--offline", "--no-index", "--find-links", str(wheels), "--no-deps", "--require-hashes"]
        install = [uv, "pip", "install", "-q", *source, "--compile-bytecode", "--python", f"{place}/bin/python"]
        for argv in (venv, [*install, "-r", str(_LOCK)]):
            subprocess.run(argv, check=True, timeout=600)
        made.write_bytes(_LOCK.read_bytes())
    return place

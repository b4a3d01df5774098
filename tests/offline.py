"""A laptop whose pip has an index, in a lab without a way out, and accounts of its cluster to set up from there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from subprocess import CompletedProcess

import yaml

from hpclab import Lab
from tests.laptop import Laptop
from tests.wheelhouse import wheelhouse

SHARED = "/home/shared"
HERE = "/var/tmp/index"
SENT = re.compile(
    r"so (\d+) packages for Python 3\.\d+, \w+, glibc 2\.\d+ came from this machine, "
    r"(\w+) of them sent now to ([\w./-]+)"
)


def prepare(lab: Lab, users: Sequence[str]) -> Laptop:
    """Alice's laptop, with an inventory of accounts that she may enter; what it leaves, ``clean`` takes away."""
    person = Laptop(lab)
    person.write_inventory(hpc_gateways=["{{ hpc_user }}@gate"], hpc_wheelhouse=f"{SHARED}/wheels")
    hosts = {f"{name}@lab": {"hpc_user": name} for name in users}
    client = lab.host("client")
    client.write("/home/alice/inventory/hosts.yml", yaml.safe_dump({"lab": {"hosts": hosts}}), mode=0o644)
    key = client.read("/home/alice/.ssh/id_ed25519.pub")
    for host in ("gate", "login1"):
        for name in users:
            lab.host(host).write(f"/home/{name}/.ssh/authorized_keys", key, owner=name, mode=0o600)
    lab.host("login1").run(["install", "-d", "-m", "0777", SHARED])
    shutil.copytree(wheelhouse(), client.root / HERE[1:])
    return person


def clean(lab: Lab) -> None:
    """As before."""
    lab.host("login1").run(["rm", "-rf", SHARED])
    lab.host("client").run(["rm", "-rf", HERE])


def set_up(person: Laptop, *arguments: str, seconds: float) -> CompletedProcess[str]:
    """``setup``, with an index for the laptop's own pip."""
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": HERE, "PIP_CONFIG_FILE": "/dev/null"}
    argv = ["-i", "inventory", "hpc.jupyter.setup", *arguments]
    return person.run("ansible-playbook", *argv, env=index, timeout=seconds)


def left(lab: Lab) -> list[str]:
    """What lies about after it: parts of files, archives, wheels in homes whose quota is small."""
    find = ["find", SHARED, "/home", "/tmp", "-name"]
    names = (".hpcj-*", "wheels.tar", "sent-wheels", "ansible-tmp-*")
    return [line for name in names for line in lab.host("login1").run([*find, name]).stdout.splitlines()]


def jupyter_runs(person: Laptop, user: str) -> bool:
    """Whether the environment of ``user`` is one."""
    program = f"/home/{user}/.local/share/hpc-jupyter/lab/venv/bin/jupyter"
    told = person.lab.host("login1").run([program, "lab", "--version"], user=user).stdout
    return told.startswith("4.")

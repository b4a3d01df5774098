"""A login host whose own Python is older than Ansible's modules take: another one is found, or said to be missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpclab import Lab
from hpclab.host import RunningHost
from tests.laptop import Laptop

OWN = "/usr/bin/python3.11"
OLD = sorted((Path.home() / ".pyenv/versions").glob("3.6.*"))
REAL = '#!/bin/sh\nLD_LIBRARY_PATH=/tmp/old/lib exec /tmp/old/bin/python3.6 "$@"\n'
STAND_IN = """\
#!/bin/sh
# Stands in for a Python 3.6 where this machine has none: says its version, and does nothing else.
case "$*" in *version_info*) echo 3.6.8 ;; *) exit 1 ;; esac
"""
MODULES = "/etc/profile.d/old-login-host.sh"
MODULE = """\
module() {
    case "$*" in
        "-t avail") printf '/apps:\\ngcc/12\\nPython/3.11.4\\n' >&2 ;;
        "load Python/3.11.4") PATH=/tmp/apps/bin:$PATH ;;
    esac
}
export -f module
"""


@pytest.fixture
def login(lab: Lab) -> Iterator[RunningHost]:
    """The login host with Python 3.6, a real one where this machine has one, and a newer one out of the way."""
    host = lab.host("login1")
    host.run(["mkdir", "-p", "/tmp/apps/bin", "/tmp/old/bin"])
    host.run(["cp", OWN, "/tmp/apps/bin/python3"])
    if OLD:
        _copy(OLD[-1], host.root / "tmp/old")
    host.write("/tmp/python3.6", REAL if OLD else STAND_IN, mode=0o755)
    host.run(["mount", "--bind", "/tmp/python3.6", OWN])
    yield host
    host.run(["umount", OWN])
    host.run(["rm", "-rf", MODULES, "/tmp/apps", "/tmp/old", "/tmp/python3.6"])


def _copy(version: Path, to: Path) -> None:
    """Accounts may not look below the home directory that it is in."""
    shutil.copy(version / "bin/python3.6", to / "bin")
    skip = shutil.ignore_patterns("test", "site-packages", "config-*", "__pycache__", "*.a", "pkgconfig")
    shutil.copytree(version / "lib", to / "lib", ignore=skip)


def told(person: Laptop, **facts: str) -> str:
    """What a play says that runs a module on the account."""
    person.write_inventory(**facts)
    done = person.play("status", check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def test_a_module_brings_the_python_for_ansible(alice: Laptop, login: RunningHost) -> None:
    login.write(MODULES, MODULE, mode=0o644)
    assert "no session" in told(alice)
    kept = alice.lab.host("client").read("/home/alice/.local/state/hpc-jupyter/alice@lab/python")
    assert '"path": "/tmp/apps/bin/python3"' in kept
    login.run(["rm", MODULES])  # what was found is known from now on
    assert "no session" in told(alice)


def test_there_is_none_then_the_facts_name_one(alice: Laptop, login: RunningHost) -> None:
    assert (
        "lab: login host login: Ansible needs Python 3.8 or newer on the account, and there is only "
        "/usr/bin/python3 (3.6."
    ) in told(alice)
    assert (
        "(looked for in PATH, a login shell's PATH, conda, uv, pyenv and modules). Ask the site which module brings a "
        "newer one, load it, and write the path that `command -v python3` prints into the cluster's facts: "
        "hpc_python: /path/to/python3. If there is none, conda (miniforge) below the home directory brings one, and is "
        "found by itself"
    ) in told(alice)
    refused = told(alice, hpc_python="/usr/bin/python3")
    assert "hpc_python: /usr/bin/python3 is Python 3.6." in refused
    assert "Ansible needs Python 3.8 or newer; without hpc_python one is looked for" in refused
    assert "hpc_python: /nowhere is no Python that runs on login" in told(alice, hpc_python="/nowhere")
    assert "no session" in told(alice, hpc_python="/tmp/apps/bin/python3")

"""Labs come and go, and leave nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab import Lab, LabError, packages, state, topologies
from hpclab.process import Process, until

HOSTS = [host.name for host in topologies.SLURM.hosts]


def test_nothing_is_left_of_a_lab() -> None:
    before = machine()
    with Lab.up(topologies.SLURM, name=f"gone-{os.getpid()}") as lab:
        lab.host("c1").popen(["sleep", "1000"], user="alice")
        pids = [process for host in HOSTS for process in inhabitants(lab, host)]
        assert len(pids) > 2 * len(HOSTS)
    lab.down()
    assert not [process for process in pids if process.alive]
    until(lambda: machine() == before, what="the machine as it was")


def test_what_a_killed_owner_left_is_listed_and_removed() -> None:
    before, name = machine(), f"orphan-{os.getpid()}"
    build = f"from hpclab import Lab, topologies as t; Lab.up(t.SLURM, name='{name}'); print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", build], stdin=-1, stdout=-1, env=environment(), text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "up\n"
        owner.send_signal(signal.SIGKILL)
    left = state.load(name)
    assert left
    assert left.running
    assert left.orphaned
    assert f"{name}: slurm, owner {owner.pid} has died" in hpclab("list")
    hpclab("down", "--name", name)
    until(lambda: machine() == before, what="the machine as it was")


def test_a_lab_that_cannot_be_built_says_why_and_leaves_nothing() -> None:
    before = machine()
    broken = topologies.Host(name="bad", networks=("n",), home="h", sshd={"NoSuchOption": "yes"})
    home = topologies.Home(name="h")
    topology = topologies.Topology(name="x", hosts=(broken,), homes=(home,), users=topologies.USERS, clusters=())
    with pytest.raises(LabError, match=r"bad: .*sshd does not serve(?s:.*)NoSuchOption"):
        Lab.up(topology, name=f"bad-{os.getpid()}")
    until(lambda: machine() == before, what="the machine as it was")


def test_the_command_runs_a_program_on_a_host() -> None:
    name = ["--name", f"cli-{os.getpid()}"]
    try:
        assert "hpclab shell client --user alice" in hpclab("up", *name)
        assert "is up already" in hpclab("up", *name)
        assert hpclab("run", "c1", *name, "--user", "bob", "--", "sh", "-c", "hostname; id -un") == "c1\nbob\n"
        hpclab("cut", "gate", *name)
        hpclab("heal", "gate", *name)
    finally:
        hpclab("down", *name)


def test_the_packages_of_every_lab_are_printed() -> None:
    """They are what a machine gets installed before the tests."""
    printed = set(hpclab("packages").split())
    assert {"slurmctld", "munge", "gridengine-master", "openssh-server", "tcsh"} <= printed
    assert printed == {name for each in topologies.BY_NAME.values() for need in each.needs for name in need}


def test_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    with pytest.raises(LabError, match=r"missing on this machine: nosuch; install with: apt-get install .* nosuch"):
        packages.require([{"nosuch": "no-such-program"}])


def hpclab(*argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hpclab", *argv],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}


def machine() -> tuple[list[str], list[str], list[str]]:
    """What a lab could leave behind: directories of this process's labs, mounts, links."""
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    own = [name for name in state.names() if name.endswith(f"-{os.getpid()}")]
    return own, sorted(Path("/proc/self/mounts").read_text().splitlines()), sorted(links)


def inhabitants(lab: Lab, host: str) -> list[Process]:
    """The host's processes, by the pids that the machine gives them."""
    space = os.readlink(f"/proc/{lab.host(host).init.pid}/ns/pid")
    return [Process.of(int(entry.name)) for entry in Path("/proc").iterdir() if lives_in(entry, space)]


def lives_in(entry: Path, space: str) -> bool:
    try:
        return entry.name.isdigit() and os.readlink(entry / "ns/pid") == space
    except OSError:
        return False

"""What killed processes leave on this computer is told as it is, removed once, and never what is alive."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record
from ansible_collections.hpc.jupyter.plugins.plugin_utils.control import control, listens, master_pid
from ansible_collections.hpc.jupyter.plugins.plugin_utils.processes import identify

from hpc_jupyter import forward, leftovers
from hpc_jupyter.commands import logout
from hpc_jupyter.context import Context
from hpc_jupyter.state import Held
from tests.cli.conftest import TOKEN, World, answers, connect, free_port
from tests.cli.test_command import run

LONG_AGO = 1_700_000_000


@contextmanager
def holder(world: World) -> Iterator[tuple[subprocess.Popen[bytes], Held]]:
    """A process that holds a connection; ended, with what it leaves, at the end."""
    (world.home / "cluster").write_bytes(pickle.dumps(world.cluster))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(item for item in sys.path if item)}
    argv = [sys.executable, "-m", "tests.cli.holder", str(world.home)]
    store = world.connector.store
    with subprocess.Popen(argv, env=environment) as process:
        try:
            deadline = time.monotonic() + 60
            while not store.read("default").is_up and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            assert store.read("default").holder.pid == process.pid
            yield process, store.read("default")
        finally:
            process.kill()
            process.wait()
            store.end("default")


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@pytest.mark.rows("F34")
def test_the_forward_of_a_killed_command_is_told_and_ended(world: World) -> None:
    with holder(world) as (process, held):
        assert leftovers.find("me@lab") == []
        kill(process)
        [found] = leftovers.find("me@lab")
        assert (found.kind, found.host, found.session) == ("forward", "this computer", "default")
        assert found.what == (
            f"a connection to session default, whose hpc-jupyter (process {process.pid}) was killed; "
            f"ssh (process {held.ssh.pid}) still holds port {held.port}"
        )
        assert answers(held.port)
        assert leftovers.remove("me@lab", found)
        assert not answers(held.port)
        assert (leftovers.find("me@lab"), leftovers.remove("me@lab", found)) == ([], False)
        assert world.connector.store.read("default") == Held(port=held.port)


@pytest.mark.rows("F34")
def test_the_next_connect_takes_the_place_of_a_killed_command_under_the_same_port(world: World) -> None:
    with holder(world) as (process, held):
        kill(process)
        link = connect(world)
        try:
            assert (link.route.port, held.ssh.is_alive) == (held.port, False)
            assert forward.ask(link.route.url, TOKEN).ok
            assert leftovers.find("me@lab") == []
        finally:
            if link.forward:
                link.forward.close()


@pytest.mark.rows("F25")
def test_the_socket_of_a_killed_login_is_told_and_removed(world: World) -> None:
    world.access.log_in(world.connector.progress, interactive=False)
    path = world.access.files.control
    assert leftovers.find("me@lab") == []
    pid = master_pid(path)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while identify(pid).is_alive and time.monotonic() < deadline:
        time.sleep(0.02)
    [found] = leftovers.find("me@lab")
    assert (found.kind, found.where) == ("login", path)
    assert leftovers.remove("me@lab", found)
    assert not os.path.lexists(path)
    assert (leftovers.find("me@lab"), leftovers.remove("me@lab", found)) == ([], False)
    assert world.access.log_in(world.connector.progress, interactive=False)


@pytest.mark.rows("F26", "F27")
def test_a_listener_that_a_killed_command_left_in_the_login_is_taken_away(world: World) -> None:
    """ssh says yes to taking away what is not there, so that only the port itself tells."""
    world.access.log_in(world.connector.progress, interactive=False)
    path, port = world.access.files.control, free_port()
    rides = (f"127.0.0.1:{port}:{world.server.server_address}",)
    assert control(path, "forward", listens(rides)).returncode == 0
    with subprocess.Popen(["true"]) as gone:
        holder = identify(gone.pid)
    master = identify(master_pid(path))
    store = world.connector.store
    store.write("default", Held(port=port, holder=replace(holder, started="1"), rides=rides, master=master))
    [found] = leftovers.find("me@lab")
    assert found.what.endswith(f"was killed; the login connection still holds port {port}")
    assert answers(port)
    assert leftovers.remove("me@lab", found)
    assert not answers(port)
    assert master.is_alive
    assert leftovers.find("me@lab") == []


def test_a_logout_ends_the_login_and_what_holds_connections_over_it(world: World) -> None:
    with holder(world) as (process, held):
        told = logout.run(Context(), ["me@lab"])
        assert told.lines() == [
            "Logged out of me@lab; its connection to default ended with that, the session goes on"
        ]
        assert process.wait(timeout=10) != 0
        assert not answers(held.port)
        assert not os.path.lexists(world.access.files.control)
    assert logout.run(Context(), ["me@lab"]).lines() == ["me@lab was not logged in"]
    assert logout.run(Context(), []).lines() == ["This computer is not logged in anywhere"]


def test_pages_and_half_made_files_are_removed_when_they_are_old_and_ours(world: World) -> None:
    directory = world.connector.store.directory
    names = ("open-default-1.html", ".new-1", ".login-1")
    for name in names:
        (directory / name).write_text("x")
    assert leftovers.find("me@lab") == []
    (directory / ".answer-1").mkdir()
    for name in (*names, ".answer-1"):
        os.utime(directory / name, (LONG_AGO, LONG_AGO))
    (directory / ".new-link").symlink_to(directory / ".new-1")
    os.utime(directory / ".new-link", (LONG_AGO, LONG_AGO), follow_symlinks=False)
    found = leftovers.find("me@lab")
    assert [(each.kind, Path(each.where).name) for each in found] == [
        ("redirect", "open-default-1.html"), ("temporary", ".new-1"), ("temporary", ".login-1"),
        ("temporary", ".answer-1"),
    ]  # fmt: skip
    assert [leftovers.remove("me@lab", each) for each in found] == [True] * 4
    assert (directory / ".new-link").is_symlink()
    assert leftovers.find("me@lab") == []


@pytest.mark.rows("T20")
def test_what_a_killed_run_of_ansible_left_is_told_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young = tmp_path / "hpc-jupyter-play-1", tmp_path / "hpc-jupyter-play-2"
    for path in (left, young):
        (path / "env").mkdir(parents=True)
    os.utime(left, (LONG_AGO, LONG_AGO))
    [found] = leftovers.find_plays()
    assert found.where == str(left)
    assert (leftovers.remove("", found), leftovers.remove("", found)) == (True, False)
    assert leftovers.find_plays() == []
    assert young.is_dir()


def test_clean_says_what_it_is_asks_and_does_it_once(environment: dict[str, str], tmp_path: Path) -> None:
    directory = tmp_path / ".local/share/hpc-jupyter/local/sessions/old"
    directory.mkdir(parents=True)
    record = Record("old", "local", "local", "none", 3, "ended", "idle", "nobody used it", job_id="7.old@elsewhere")
    (directory / "record.json").write_text(json.dumps(asdict(record)))
    environment = {**environment, "TMPDIR": str(tmp_path / "tmp")}
    killed = tmp_path / "tmp/hpc-jupyter-play-1"
    killed.mkdir(parents=True)
    os.utime(killed, (LONG_AGO, LONG_AGO))
    refused = run(environment, "clean", "local")
    line = f"local: {directory} on {os.uname().nodename}: record, token and log of session old, which has ended (idle)"
    assert refused.returncode == 2
    assert f"To be removed: {line}, since " in refused.stderr
    assert refused.stderr.endswith(
        "hpc-jupyter: --yes: is missing, and there is no terminal to ask on. "
        "Add it to remove what is said above, or --dry-run to be told only\n"
    )
    play = f"{killed} on this computer: the private files of a run of Ansible that was killed"
    assert f"To be removed: {play}, since " in refused.stderr
    assert directory.exists()
    assert killed.exists()
    first, second = run(environment, "clean", "local", "--yes").stdout.splitlines()
    assert first.startswith(f"Removed {play}, since ")
    assert second.startswith(f"Removed {line}, since ")
    assert not directory.exists()
    assert not killed.exists()
    assert run(environment, "clean", "local", "--yes").stdout == "Nothing to do\n"


def test_what_was_used_here_is_told_also_where_no_cluster_answers(environment: dict[str, str]) -> None:
    held = Held(port=20123, holder=replace(identify(1), started="1"))
    for name in ("alice@lab", "me@old"):
        directory = Path(environment["XDG_STATE_HOME"]) / "hpc-jupyter" / name
        directory.mkdir(parents=True)
        (directory / "default.session.json").write_text(json.dumps(asdict(held)))
    seen = run(environment, "status")
    note = (
        "/default.session.json on this computer: the note of a connection to session default on port 20123, "
        "whose hpc-jupyter (process 1) was killed, since "
    )
    first, left, second, left_too = seen.stdout.splitlines()
    assert seen.returncode == 0
    assert first.startswith("alice@lab: lab: gateway gate.invalid: the name is not known here.")
    assert second.startswith("me@old: ACCOUNT: 'me@old' is not in the inventory.")
    for line, name in ((left, "alice@lab"), (left_too, "me@old")):
        assert f"/{name}{note}" in line
        assert line.endswith(f"; removed by: hpc-jupyter clean {name}")
    cleaned = run(environment, "clean", "me@old", "--yes")
    assert cleaned.stdout.startswith("Removed me@old: ")
    assert run(environment, "disconnect", "alice@lab").stdout.startswith("This computer holds no connection")
    refused = run(environment, "stop", "--all")
    assert (refused.returncode, refused.stderr) == (2, (
        "hpc-jupyter: --yes: is missing, and there is no terminal to ask on. "
        "Name an account, or add it to stop every session of alice@lab\n"
    ))  # fmt: skip
    stopped = run(environment, "stop", "--all", "--yes")
    first, second = stopped.stdout.splitlines()
    assert stopped.returncode == 3
    assert first.startswith("lab: gateway gate.invalid: the name is not known here.")
    assert second == (
        f"me@old was used here and is not in the inventory ({environment['HPC_JUPYTER_INVENTORY']}), so what may run "
        "there was not stopped. Name its inventory with -i, or forget the account: "
        f"rm -r {environment['XDG_STATE_HOME']}/hpc-jupyter/me@old"
    )
